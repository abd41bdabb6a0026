"""Workers of many servers that claim documents, while those are written and deleted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.core import model as m
from service.ports.processing import Failed, Job, Processed
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.tally import Tally

WORKERS = 8
WRITERS = 4
TENANTS = 3
DOCUMENTS = 60
"""Of each tenant."""

LEASE = 3600.0
CONTAINERS = ("a", "b", "c")


@dataclass
class Contention:
    """Work on one database by several stores, as by so many servers.

    Args:
        stores: Of the servers.
        principals: One of each tenant.
        seed: Decides what is done, though not how it mixes.
        tally: Counts operations, and what was held twice.
    """

    stores: Sequence[SqlStore]
    principals: Sequence[m.Principal]
    seed: int
    tally: Tally
    held: dict[tuple[int, str, int], str] = field(default_factory=dict)
    """By tenant, document and revision: who holds it."""

    async def run(self, goes_on: Callable[[], bool]) -> None:
        """Returns when `goes_on` says so; an error of any worker or writer ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(WORKERS):
                    group.create_task(self._work(number, goes_on))
                for number in range(WRITERS):
                    group.create_task(self._write(number, goes_on))
        except ExceptionGroup as errors:
            # The others were cancelled for it.
            raise errors.exceptions[0] from errors

    async def _work(self, number: int, goes_on: Callable[[], bool]) -> None:
        chance = random.Random(f"{self.seed} worker {number}")
        queue, holder = self.stores[number % len(self.stores)].queue, f"worker {number}"
        while goes_on():
            works = await queue.claim(holder, chance.choice((1, 8, 64)), LEASE)
            jobs = [work.job for work in works]
            if not jobs:
                await asyncio.sleep(0.001)
                continue
            self._taken(jobs, holder)
            await queue.enter(jobs, m.Status.CHUNKING)
            await queue.renew(jobs, LEASE)
            self._given(jobs)
            way = chance.random()
            if way < 0.6:
                await queue.finish([Processed(job, [], 0) for job in jobs])
            elif way < 0.8:
                await queue.release(jobs)
            else:
                for job in jobs:
                    await queue.fail(Failed(job, "again", queue.now()))
            self.tally.operations += len(jobs)

    async def _write(self, number: int, goes_on: Callable[[], bool]) -> None:
        chance = random.Random(f"{self.seed} writer {number}")
        documents = self.stores[number % len(self.stores)].documents
        while goes_on():
            principal = chance.choice(self.principals)
            names = [f"n{chance.randrange(DOCUMENTS)}" for _ in range(chance.choice((1, 5, 40)))]
            if chance.random() < 0.1:
                await documents.delete_ids(principal, names[:3], None, validate_only=False)
            else:
                await documents.batch_upsert(principal, _writes(names, chance), None)
            self.tally.operations += len(names)

    def _taken(self, jobs: Sequence[Job], holder: str) -> None:
        for job in jobs:
            name = (job.tenant, job.document_id, job.revision)
            other = self.held.setdefault(name, holder)
            if other != holder:
                self.tally.findings.append(f"{name} is held by {other} and by {holder}")

    def _given(self, jobs: Sequence[Job]) -> None:
        """They may be another's from now on."""
        for job in jobs:
            self.held.pop((job.tenant, job.document_id, job.revision), None)


def _writes(names: Sequence[str], chance: random.Random) -> list[m.DocumentWrite]:
    return [
        m.DocumentWrite(f"text {chance.random()}", name, (chance.choice(CONTAINERS),))
        for name in dict.fromkeys(names)
    ]


async def contend(
    backend: Backend, servers: int, goes_on: Callable[[], bool], seed: int, tally: Tally
) -> None:
    """Contention of so many servers on an empty database, which is checked afterwards."""
    stores = [await backend.open() for _ in range(servers)]
    try:
        principals = [
            m.Principal(await stores[0].ensure_tenant(f"tenant {number}"), "key")
            for number in range(TENANTS)
        ]
        with tally.collecting(f"seed {seed}"):
            await Contention(stores, principals, seed, tally).run(goes_on)
        tally.round_done()
    finally:
        for store in stores:
            await store.close()
    found = await asyncio.to_thread(backend.check)
    tally.findings.extend(f"seed {seed}, check: {finding}" for finding in found)

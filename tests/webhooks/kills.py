"""kill -9 at random moments while changes are made, and sent to webhooks."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from palimpsest.v1.changes_pb2 import Change, ListChangesRequest
from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, NewMemory
from service.core import model as m
from service.core import webhooks as rules
from service.core.actors import ACTOR
from tests.backends.selection import backend_of
from tests.client import Client, connected
from tests.harness import Server, start_server
from tests.tally import Tally
from tests.waiting import until
from tests.webhooks.receiver import Event, Receiver, Reply, receiving, status

OPTIONS: Final = ("--lease", "1", "--workers", "0", "--compute-processes", "0")
CONTAINERS: Final = ("a", "b", "c")
MOST_TAKEN: Final = 80
"""Events after which a server is killed, at most."""

MOST_WRITES: Final = 40
"""Calls of each writer, at most, until the next kill."""

FAILING: Final = 0.02
"""How often an event is not taken, or its answer is lost: each costs some seconds."""


@dataclass
class Hook:
    """A webhook, and what was taken of it, in order."""

    webhook: m.Webhook
    taken: list[Change] = field(default_factory=list)


class Followers:
    """What answers the webhooks of a server that is killed.

    Args:
        chance: Decides when.
        failing: How often an event is not taken, or its answer is lost.
        tally: What is counted in, and where findings go.
    """

    def __init__(self, chance: random.Random, failing: float, tally: Tally) -> None:
        self.hooks: dict[str, Hook] = {}
        self.server: Server | None = None
        self.left = 0
        """Events until the server is killed."""
        self.failing = failing
        self._chance = chance
        self._tally = tally

    async def answer(self, event: Event) -> Reply:
        replies: list[Reply] = []
        with self._tally.collecting(f"event {event.id}"):
            name, _, revision = event.id.rpartition("_")
            hook = self.hooks[name]
            change = event.change(hook.webhook.target.secret)
            assert str(change.revision) == revision
            replies.append(self._take(hook, change))
        return replies[0] if replies else status(500)

    def _take(self, hook: Hook, change: Change) -> Reply:
        self._tally.operations += 1
        if self._chance.random() < self.failing:
            return status(503)
        hook.taken.append(change)
        self.left -= 1
        if self.left == 0 and self.server is not None:
            self.server.process.kill()
            return None
        return None if self._chance.random() < self.failing else status(200)


async def kill_rounds(
    data: Path, rounds: int, seed: int, tally: Tally, *, failing: float = FAILING
) -> None:
    """So many servers on one folder, each killed while it delivers."""
    chance = random.Random(seed)
    followers = Followers(chance, failing, tally)
    async with receiving() as receiver:
        receiver.answer = followers.answer
        for number in range(rounds + 1):
            server = await asyncio.to_thread(start_server, data, *OPTIONS)
            try:
                if number == 0:
                    _add(followers, receiver, data)
                if number < rounds:
                    await _write_until_killed(followers, server, chance, seed + number)
                    tally.faults += 1
                    tally.round_done()
                else:
                    await _judge(followers, server, data, tally)
            finally:
                followers.server = None
                server.kill()


def _add(followers: Followers, receiver: Receiver, data: Path) -> None:
    """A webhook of everything, and one of a container."""
    for containers in ((), CONTAINERS[:1]):
        target = m.WebhookTarget(
            receiver.url, rules.new_secret(), containers=containers, allow_private=True
        )
        webhook = backend_of(data).administration.add_webhook("default", target, 0)
        followers.hooks[webhook.id] = Hook(webhook)


async def _write_until_killed(
    followers: Followers, server: Server, chance: random.Random, seed: int
) -> None:
    followers.left = chance.randrange(1, MOST_TAKEN)
    followers.server = server
    async with connected(server.address, server.key) as client:
        writing = [asyncio.create_task(_write(client, f"{seed}.{n}")) for n in range(3)]
        await asyncio.to_thread(server.process.wait)
        for done in await asyncio.gather(*writing, return_exceptions=True):
            assert done is None or isinstance(done, grpc.aio.AioRpcError), done


async def _write(client: Client, name: str) -> None:
    """Write until the server is gone, or it is enough."""
    chance = random.Random(name)
    for number in range(MOST_WRITES):
        await client.memories.CreateMemories(
            CreateMemoriesRequest(
                container_tag=chance.choice(CONTAINERS),
                memories=[NewMemory(content=f"{name}.{number}")] * chance.randrange(1, 4),
            ),
            metadata=((ACTOR, f"{name}.{number}"),),
        )


async def _judge(followers: Followers, server: Server, data: Path, tally: Tally) -> None:
    """Each change has come to each webhook that asked for it, in order, as it is listed."""
    followers.failing = 0.0
    async with connected(server.address, server.key) as client:
        changes = await _listed(client)
    last = changes[-1].revision

    def delivered() -> bool:
        infos = backend_of(data).administration.list_webhooks()
        return all(info.webhook.position == last for info in infos)

    await until(delivered)
    for hook in followers.hooks.values():
        wanted = set(hook.webhook.target.containers)
        expected = [c for c in changes if not wanted or wanted.intersection(c.container_tags)]
        first = {change.revision: change for change in reversed(hook.taken)}
        order = list(dict.fromkeys(change.revision for change in hook.taken))
        if order != [change.revision for change in expected]:
            tally.findings.append(f"{sorted(wanted)}: another order, or not all: {order[-50:]}")
        for change in expected:
            if first.get(change.revision) != change:
                tally.findings.append(f"{sorted(wanted)}: {change} came as another one")


async def _listed(client: Client) -> list[Change]:
    request, found = ListChangesRequest(page_size=1000), list[Change]()
    while True:
        page = await client.changes.ListChanges(request)
        found.extend(page.changes)
        if page.revision == page.latest_revision:
            return found
        request.after_revision = page.revision

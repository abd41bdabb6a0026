"""A follower of the changes, through kill -9 at random moments under mixed load."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

import palimpsest
from palimpsest.v1.changes_pb2 import Change
from tests.backends.base import Backend
from tests.backends.selection import backend_of
from tests.faults.kills import run_and_kill
from tests.faults.load import Load
from tests.harness import start_server
from tests.tally import Tally
from tests.waiting import HANG_SECONDS, until

_COMMITTED = "SELECT max(revision) AS latest FROM tenants"


class Follower:
    """Keeps the changes that a client of the library is sent, over all connections.

    Args:
        backend: Read after each message, by a connection that sees what was committed.
    """

    def __init__(self, backend: Backend) -> None:
        self.changes: list[Change] = []
        self.revision = 0
        self._backend = backend

    async def run(self, client: palimpsest.AsyncClient) -> None:
        """Follow until this is cancelled; an AssertionError is a finding."""
        async for message in client.changes.watch(after_revision=0):
            committed = await asyncio.to_thread(self._committed)
            for change in message.changes:
                assert self.revision < change.revision, f"{change.revision} after {self.revision}"
                assert change.revision <= committed, f"{change.revision} of {committed} committed"
                self.revision = change.revision
            assert self.revision <= message.revision <= committed
            self.changes.extend(message.changes)
            self.revision = message.revision

    def _committed(self) -> int:
        return int(self._backend.rows(_COMMITTED)[0].latest)


async def follower_rounds(data_dir: Path, rounds: int, seed: int, tally: Tally) -> None:
    """So many kills while a follower is connected; findings go into the tally."""
    chance = random.Random(seed)
    load = Load(seed)
    follower = Follower(backend_of(data_dir))
    server = await asyncio.to_thread(start_server, data_dir)
    address = server.address
    try:
        async with palimpsest.connect_async(address, server.key, timeout=HANG_SECONDS) as client:
            following = asyncio.create_task(follower.run(client))
            for number in range(1, rounds + 1):
                await run_and_kill(server, load, chance)
                load.suffered(tally)
                server = await asyncio.to_thread(start_server, data_dir, address=address)
                with tally.collecting(f"seed {seed}, after kill {number}"):
                    await load.settle(server)
            with tally.collecting(f"seed {seed}, after {rounds} kills"):
                await _judge(client, follower, following)
            following.cancel()
            with suppress(asyncio.CancelledError, AssertionError):
                await following
    finally:
        server.kill()


async def _judge(
    client: palimpsest.AsyncClient, follower: Follower, following: asyncio.Task[None]
) -> None:
    """What was sent is what is listed now: nothing is missing, nothing was taken back."""
    latest = (await client.changes.list()).latest_revision
    await until(lambda: following.done() or follower.revision >= latest)
    if following.done():
        await following
    listed = [change async for change in client.changes.iterate(page_size=1000)]
    # Documents may still be processed.
    kept = [_of(change) for change in listed if change.revision <= latest]
    sent = [_of(change) for change in follower.changes if change.revision <= latest]
    assert kept, "nothing was changed"
    different = [pair for pair in zip_longest(sent, kept) if pair[0] != pair[1]]
    assert not different, f"{len(different)} of (sent, kept) differ: {different[:5]}"


def _of(change: Change) -> tuple[object, ...]:
    """What of a change stays: the tags of deleted containers become digests."""
    return change.revision, change.kind, change.time.ToMicroseconds(), change.request_id

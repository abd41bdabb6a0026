"""What a tenant feels of another that writes, searches and imports as fast as it can.

The noise and the calls that are measured share the processors with the server, so an empty call
of another server, with which the noisy tenant has nothing to do, is measured between them: what
is lost there is lost to the machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.bench import baseline, data, prose
from tests.bench.load import Target, connect, latencies, percentile
from tests.bench.measures import fill, gets
from tests.bench.queue import processed
from tests.bench.report import Row
from tests.harness import REPOSITORY, Server, environment

CALLS = 1000
FILLED = 5000
MEMORIES = 5000


EMPTY = "The empty call"


class Neighbours:
    """p99 of one caller at a time while another tenant is noisy, times quiet."""

    def __init__(self, server: Server, bare: Target) -> None:
        self._server = server
        self._bare = bare
        self._quiet = connect(server.address, server.create_key("--tenant", "quiet"))
        self._noisy_key = server.create_key("--tenant", "noisy")
        self._ids: list[str] = []
        self.rows = {
            name: Row(f"{name} p99 next to a noisy tenant, times quiet", goal, at_most=True)
            for name, goal in {
                EMPTY: None,
                "GetDocument": 4,
                "UpsertDocument": 4,
                "SearchMemories": 4,
            }.items()
        }

    async def round(self) -> None:
        if not self._ids:
            self._ids = await fill(self._quiet, FILLED, data.FILLED)
            create = self._quiet.call("Memories/CreateMemories")
            await latencies(create, prose.memory_batches(MEMORIES, "searched"))
            noisy = connect(self._server.address, self._noisy_key)
            await fill(noisy, FILLED, data.FILLED)
            await noisy.channel.close()
        await processed(self._server)
        quiet = await self._p99()
        async with self._noise():
            noisy_p99 = await self._p99()
        for name, row in self.rows.items():
            during, before = noisy_p99[name], quiet[name]
            row.add(during / before, f"{during * 1000:.1f} ms of {before * 1000:.1f} ms")

    async def _p99(self) -> dict[str, float]:
        get, upsert, search = (
            self._quiet.call(method)
            for method in (
                "Documents/GetDocument",
                "Documents/UpsertDocument",
                "Memories/SearchMemories",
            )
        )
        works = {
            EMPTY: (self._bare.call("Documents/GetDocument"), [baseline.REQUEST] * CALLS),
            "GetDocument": (get, gets(self._ids, CALLS)),
            "UpsertDocument": (upsert, data.new_documents(CALLS)),
            "SearchMemories": (search, prose.memory_searches(CALLS, "searched")),
        }
        taken = {}
        for name, (call, requests) in works.items():
            await latencies(call, requests[:20])
            taken[name] = percentile(await latencies(call, requests), 99)
        return taken

    @asynccontextmanager
    async def _noise(self) -> AsyncIterator[None]:
        command = [sys.executable, "-m", "tests.bench.noise", self._server.address]
        noise = subprocess.Popen(  # noqa: ASYNC220  (begins at once)
            [*command, self._noisy_key],
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.PIPE,
        )
        try:
            # Until it is heard: the first calls of a process are its slowest.
            await latencies(self._quiet.call("Documents/GetDocument"), gets(self._ids, 30))
            yield
            assert noise.poll() is None, "the noisy tenant has given up"
        finally:
            assert noise.stdin is not None
            noise.stdin.close()
            noise.wait()

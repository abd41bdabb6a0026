"""What it costs to be watched: servers with metrics and with traces next to one with neither."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.bench import data, measures
from tests.bench.load import Target, connect, rate
from tests.bench.report import Row
from tests.bench.trace_sink import running_sink
from tests.harness import Server, running_server

FILLED: Final = 2000
CALLS: Final = 128
"""Of each server before the next one's turn: the machine changes from second to second."""

TURNS: Final = 60

UNWATCHED: Final = ("--metrics", "off", "--slow-call-seconds", "0")


class Watching:
    """Calls for a second of the server's CPU, as a part of those of a server that is not watched.

    Args:
        servers: By name: "off", and what it is compared with.
        ids: By name of the server, documents that it has.
    """

    def __init__(
        self, servers: Mapping[str, tuple[Server, Target]], ids: Mapping[str, Sequence[str]]
    ) -> None:
        self._servers = servers
        self._ids = ids
        self.rows = {
            f"{method} {watched}": Row(f"{method} with {watched}, times without", target)
            for watched, target in (("metrics", 0.97), ("traces", 0.90))
            for method in ("GetDocument", "UpsertDocument")
        }

    async def round(self) -> None:
        await self._compare("GetDocument", lambda name: measures.gets(self._ids[name], CALLS))
        await self._compare("UpsertDocument", lambda _: data.new_documents(CALLS))

    async def _compare(self, method: str, requests: Callable[[str], Sequence[bytes]]) -> None:
        spent = {name: list[float]() for name in self._servers}
        for _ in range(TURNS):
            for name, (server, target) in self._servers.items():
                made = requests(name)
                before = _cpu_seconds(server)
                await rate(target.call(f"Documents/{method}"), made)
                spent[name].append((_cpu_seconds(server) - before) / CALLS)
        each = {name: statistics.median(turns) * 1e6 for name, turns in spent.items()}
        for watched in self._servers.keys() - {"off"}:
            note = f"{each[watched]:,.0f} µs of CPU a call, and {each['off']:,.0f} without"
            self.rows[f"{method} {watched}"].add(each["off"] / each[watched], note)


@asynccontextmanager
async def watching(folder: Path, *options: str) -> AsyncIterator[Watching]:
    """The three servers, each with its documents, in a folder that is there."""
    async with AsyncExitStack() as stack:
        sink = stack.enter_context(running_sink())
        flags = {"off": UNWATCHED, "metrics": (), "traces": ("--traces", sink)}
        servers, ids = {}, {}
        for name, more in flags.items():
            server = stack.enter_context(running_server(folder / name, *options, *more))
            target = connect(server.address, server.key)
            stack.push_async_callback(target.channel.close)
            servers[name] = server, target
            ids[name] = await measures.fill(target, FILLED, data.FILLED)
        yield Watching(servers, ids)


def _cpu_seconds(server: Server) -> float:
    """What the server has spent so far, without its child processes."""
    # Linux's clock of another process: clock_getcpuclockid, which Python does not have.
    return time.clock_gettime(~server.process.pid << 3 | 2)

"""A proxy between a store and PostgreSQL that breaks a connection in the middle of a commit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum


class Cut(Enum):
    """When a connection breaks: before the server gets a COMMIT, or before its answer comes."""

    BEFORE = "before"
    AFTER = "after"


class CuttingProxy:
    """Passes bytes on, both ways, until it is told to cut; then it cuts once."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.port = 0
        self._cut: Cut | None = None

    def cut(self, when: Cut) -> None:
        """Cut the connection on which the next transaction is committed."""
        self._cut = when

    @property
    def has_cut(self) -> bool:
        """Whether it has done what it was told."""
        return self._cut is None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes over one connection."""
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        silent = False

        def hang_up() -> None:
            for end in (writer, server_writer):
                end.transport.abort()

        async def ask() -> None:
            nonlocal silent
            while data := await reader.read(65_536):
                if self._cut is not None and b"COMMIT" in data:
                    done, self._cut = self._cut, None
                    if done is Cut.BEFORE:
                        return
                    silent = True
                server_writer.write(data)

        async def answer() -> None:
            while data := await server_reader.read(65_536):
                if silent:
                    return
                writer.write(data)

        ends = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        hang_up()
        for end in ends:
            with contextlib.suppress(OSError):
                await end


@asynccontextmanager
async def cutting_proxy(host: str, port: int) -> AsyncIterator[CuttingProxy]:
    """A proxy to this address, on a port of its own."""
    proxy = CuttingProxy(host, port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy

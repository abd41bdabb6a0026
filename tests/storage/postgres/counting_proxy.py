"""A proxy between a store and PostgreSQL that counts round trips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class CountingProxy:
    """Passes bytes on, both ways.

    A round trip is what a connection asks until it is answered: it is counted when a client
    speaks for the first time, or after its server has spoken.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.round_trips = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes over one connection."""
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        answered = True

        async def ask() -> None:
            nonlocal answered
            while data := await reader.read(65_536):
                self.round_trips += answered
                answered = False
                server_writer.write(data)
            server_writer.close()

        async def answer() -> None:
            nonlocal answered
            while data := await server_reader.read(65_536):
                answered = True
                writer.write(data)
            writer.close()

        await asyncio.gather(ask(), answer(), return_exceptions=True)


@asynccontextmanager
async def counting_proxy(host: str, port: int) -> AsyncIterator[CountingProxy]:
    """A proxy to this address, on a port of its own."""
    proxy = CountingProxy(host, port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy

"""The clients: the services of one server, over one channel."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc

from palimpsest import channels
from palimpsest.calls import AsyncCalls, Calls, Settings
from palimpsest.channels import Tls
from palimpsest.services import (
    AsyncChanges,
    AsyncContainers,
    AsyncDocuments,
    AsyncMemories,
    Changes,
    Containers,
    Documents,
    Memories,
)

TIMEOUT: float = 30.0
"""Seconds for a call, unless it or its client has another time limit."""


class Client:
    """A client; may be used by several threads. `connect` makes one."""

    def __init__(self, channel: grpc.Channel, settings: Settings) -> None:
        calls = Calls(channel, settings)
        self.channel = channel
        self.documents = Documents(calls)
        self.memories = Memories(calls)
        self.containers = Containers(calls)
        self.changes = Changes(calls)

    def close(self) -> None:
        """Close the connection; calls that are running fail."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """A client for the running event loop. `connect_async` makes one."""

    def __init__(self, channel: grpc.aio.Channel, settings: Settings) -> None:
        calls = AsyncCalls(channel, settings)
        self.channel = channel
        self.documents = AsyncDocuments(calls)
        self.memories = AsyncMemories(calls)
        self.containers = AsyncContainers(calls)
        self.changes = AsyncChanges(calls)

    async def close(self) -> None:
        """Close the connection; calls that are running fail."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def connect(
    address: str,
    key: str | None,
    *,
    tls: Tls | None = None,
    timeout: float = TIMEOUT,
    actor: str = "",
) -> Client:
    """A client of the server at `address`, which is connected to by the first call.

    Calls wait for the connection, also while the server restarts, and are made again where that is
    safe and can help, until `timeout` is over.

    Args:
        address: "HOST:PORT", "[::1]:PORT" or "unix:PATH".
        key: None for a server that asks for none.
        tls: None: TLS, unless the address is of this machine. True: TLS with the authorities that
            gRPC trusts. False: plaintext, which shows the key to the network. Bytes: TLS with
            these authorities, in PEM. Or credentials of gRPC.
        timeout: Seconds for a call, all attempts included; each call can name its own. Calls that
            wait for processing have at least two minutes.
        actor: On whose behalf the calls are made: up to 200 characters of ASCII for the change
            feed.

    Raises:
        ValueError: The address is a URL, or the key or actor is not printable ASCII.
    """
    secured = channels.credentials(address, tls)
    if secured is None:
        channel = grpc.insecure_channel(address, options=channels.OPTIONS)
    else:
        channel = grpc.secure_channel(address, secured, options=channels.OPTIONS)
    return Client(channel, Settings(address, key, timeout, actor))


def connect_async(
    address: str,
    key: str | None,
    *,
    tls: Tls | None = None,
    timeout: float = TIMEOUT,
    actor: str = "",
) -> AsyncClient:
    """As `connect`, for asyncio: to be called in the event loop that the client is used in."""
    secured = channels.credentials(address, tls)
    if secured is None:
        channel = grpc.aio.insecure_channel(address, options=channels.OPTIONS)
    else:
        channel = grpc.aio.secure_channel(address, secured, options=channels.OPTIONS)
    return AsyncClient(channel, Settings(address, key, timeout, actor))

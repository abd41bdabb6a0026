"""The tools over streamable HTTP, as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from service.mcp.rpcs import Rpcs

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class McpApp:
    """An ASGI application of all tools; each request stands for itself.

    The SDK is imported by the first request, in a thread.

    Args:
        rpcs_of: What the caller of a request may call, by the request's scope. The caller
            has been authenticated.
    """

    def __init__(self, rpcs_of: Callable[[Scope], Rpcs]) -> None:
        self._rpcs_of = rpcs_of
        self._starting = asyncio.Lock()
        self._manager: StreamableHTTPSessionManager | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._started()).handle_request(scope, receive, send)

    async def stop(self) -> None:
        """Ends the requests that are still being answered. Then the application is done."""
        async with self._starting:
            self._stopping.set()
            if self._running is not None:
                await self._running

    async def _started(self) -> StreamableHTTPSessionManager:
        async with self._starting:
            if self._manager is None:
                self._manager = await self._start()
            return self._manager

    async def _start(self) -> StreamableHTTPSessionManager:
        manager = (await asyncio.to_thread(_load))(self._rpcs_of)
        started = asyncio.Event()
        self._running = asyncio.create_task(self._run(manager, started), name="mcp")
        await started.wait()
        if self._running.done():
            await self._running
        return manager

    async def _run(self, manager: StreamableHTTPSessionManager, started: asyncio.Event) -> None:
        # One task enters and leaves it: its group of tasks is bound to one.
        try:
            async with manager.run():
                started.set()
                await self._stopping.wait()
        finally:
            started.set()


def _load() -> Callable[[Callable[[Scope], Rpcs]], StreamableHTTPSessionManager]:
    from service.mcp.http_manager import make_manager

    return make_manager

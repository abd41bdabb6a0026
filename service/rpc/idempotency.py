"""Idempotency by request_id: one call at a time for each, and the digest of its request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from service.core.digests import Digester
from service.core.errors import PalimpsestError, Reason
from service.core.model import IdempotencyKey
from service.rpc.calls import RpcCall
from service.runtime.call_stages import stage

T = TypeVar("T")


class IdempotencyGuard:
    """The calls with a request_id that this process is serving."""

    def __init__(self, digester: Digester) -> None:
        self._digester = digester
        self._running: dict[tuple[int, str], asyncio.Future[None]] = {}

    async def run(
        self, call: RpcCall, request: Any, work: Callable[[IdempotencyKey | None], Awaitable[T]]
    ) -> T:
        """Does `work`, after any other call with the same request_id has ended.

        `request` loses its request_id. Raises REQUEST_IN_PROGRESS when the other
        call outlasts this one's deadline.
        """
        request_id: str = request.request_id
        if not request_id:
            return await work(None)
        key = (call.principal.tenant, request_id.lower())
        request.ClearField("request_id")
        digest = self._digester.request(call.method, request.SerializeToString(deterministic=True))
        while (other := self._running.get(key)) is not None:
            with stage("request_id"):
                await self._wait(call, other)
        done = asyncio.get_running_loop().create_future()
        self._running[key] = done
        try:
            return await work(IdempotencyKey(key[1], digest))
        finally:
            del self._running[key]
            done.set_result(None)

    async def _wait(self, call: RpcCall, other: asyncio.Future[None]) -> None:
        left = call.remaining()
        limit = None if left is None else left - min(0.25, left * 0.1)
        await asyncio.wait((other,), timeout=limit)
        if not other.done():
            raise PalimpsestError(
                Reason.REQUEST_IN_PROGRESS,
                "A call with this request_id is still running; repeat it",
                retry_after=1,
            )

"""How many calls of one tenant the search worker has while other tenants call, too."""

from __future__ import annotations

import asyncio
import pickle

from service.core.model import Principal
from service.processes.offloader import TENANT_CALLS, SearchOffloader
from service.processes.worker_process import WorkerProcess
from service.runtime.priority import ForegroundPriority
from tests.waiting import HANG_SECONDS, until


class SlowWorker(WorkerProcess):
    """Notes whose calls it has, and answers none before it is released."""

    def __init__(self) -> None:
        super().__init__("none", b"")
        self.ready = True
        self.calls: list[int] = []
        self.released = asyncio.Event()

    async def call(self, body: bytes, *, retry: bool = True) -> tuple[bytes, tuple[()]]:
        _, principal, *_ = pickle.loads(body)
        self.calls.append(principal.tenant)
        await self.released.wait()
        return b"answer", ()


async def test_one_tenant_leaves_room_for_the_calls_of_others() -> None:
    process = SlowWorker()
    offloader = SearchOffloader(
        process,
        local=None,  # type: ignore[arg-type]
        now=lambda: 0,
        close_past=None,  # type: ignore[arg-type]
        on_ready=lambda: None,
        priority=ForegroundPriority(),
    )

    def asking(tenant: int) -> asyncio.Task[bytes | None]:
        principal = Principal(tenant=tenant, key_id="")
        return asyncio.create_task(offloader.answer(principal, "method", b"request"))

    async with asyncio.timeout(HANG_SECONDS):
        other = [asking(1) for _ in range(TENANT_CALLS)]
        calls = [asking(2) for _ in range(3 * TENANT_CALLS)]
        await until(lambda: len(process.calls) == 2 * TENANT_CALLS)
        other.append(asking(3))
        await until(lambda: process.calls.count(3) == 1)
        assert process.calls.count(2) == TENANT_CALLS
        calls.pop().cancel()
        process.released.set()
        assert await asyncio.gather(*other, *calls) == [b"answer"] * (len(other) + len(calls))

"""What one tenant may have asked of the finder while others ask, too."""

from __future__ import annotations

import asyncio
import pickle

from service.core.model import Principal
from service.processes.offloader import TENANT_CALLS, Finder
from service.processes.worker_process import Child
from service.runtime.priority import Precedence
from tests.waiting import HANG_SECONDS, until


class SlowChild(Child):
    """Notes whose calls it has, and answers none before it is told to."""

    def __init__(self) -> None:
        super().__init__("none", b"")
        self.ready = True
        self.asked: list[int] = []
        self.go_on = asyncio.Event()

    async def ask(self, body: bytes, *, again: bool = True) -> bytes:
        _, who, _, _ = pickle.loads(body)
        self.asked.append(who.tenant)
        await self.go_on.wait()
        return b"answer"


async def test_one_tenant_leaves_room_for_the_calls_of_others() -> None:
    child = SlowChild()
    finder = Finder(
        child,
        near=None,  # type: ignore[arg-type]
        now=lambda: 0,
        close_past=None,  # type: ignore[arg-type]
        leave=lambda: None,
        precedence=Precedence(),
    )

    def asking(tenant: int) -> asyncio.Task[bytes | None]:
        who = Principal(tenant=tenant, key_id="")
        return asyncio.create_task(finder.answer(who, "method", b"request"))

    async with asyncio.timeout(HANG_SECONDS):
        other = [asking(1), asking(2)]
        calls = [asking(2) for _ in range(3 * TENANT_CALLS)]
        await until(lambda: len(child.asked) == 1 + TENANT_CALLS)
        other.append(asking(1))
        await until(lambda: child.asked.count(1) == 2)
        assert child.asked.count(2) == TENANT_CALLS
        calls.pop().cancel()
        child.go_on.set()
        assert await asyncio.gather(*other, *calls) == [b"answer"] * (len(other) + len(calls))

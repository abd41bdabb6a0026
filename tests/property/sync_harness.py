"""A real service in this thread's hands: synchronous calls, and a clock that stands still."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from palimpsest.v1.containers_pb2_grpc import ContainersStub
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2_grpc import MemoriesStub
from tests.client import Refusal, read_refusal
from tests.inprocess import ManualClock, Service, running_service
from tests.property.tenant import Caller
from tests.waiting import HANG_SECONDS

Kind = Literal["full", "limited", "read-only"]

Result = TypeVar("Result")

START = 2_000_000_000_000_000
"""Where every clock here begins, so that a run can be repeated to the microsecond."""


class StillClock(ManualClock):
    """Microseconds that pass only when told to: commit times can be foretold."""

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> int:
        return self._now

    def pass_microseconds(self, microseconds: int) -> int:
        """The instant it then is."""
        self._now += microseconds
        return self._now


class FailedCallError(Exception):
    """A call failed; `code` is the name of its status code."""

    def __init__(self, code: str, refusal: Refusal) -> None:
        super().__init__(f"{code} {refusal.info.reason}: {refusal.message}")
        self.code = code
        self.refusal = refusal


class SyncHarness:
    """One running service, and tenants in it that share nothing."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self._tenants = count(1)
        self._loop = asyncio.new_event_loop()
        memory = Path("/dev/shm")  # Nothing here asks what a power cut survives.
        self._directory = tempfile.TemporaryDirectory(
            prefix="palimpsest-", dir=memory if memory.is_dir() else None
        )
        self._running: AbstractAsyncContextManager[Service] = running_service(
            Path(self._directory.name), self.clock
        )
        self._service = self._run(self._running.__aenter__())
        self._channel, self._stubs = self._run(self._connect())

    def tenant(self) -> str:
        """A tenant that has nothing."""
        return f"tenant-{next(self._tenants)}"

    def caller(self, tenant: str, kind: Kind, limited: frozenset[str]) -> Caller:
        """A new key of the tenant; `limited`: the containers of a key of that kind."""
        make = partial(self._service.create_key, tenant=tenant)
        match kind:
            case "full":
                return Caller(make())
            case "limited":
                return Caller(make(containers=sorted(limited)), limited)
            case "read-only":
                return Caller(make(read_only=True), read_only=True)

    def call(self, method: str, principal: Caller, request: Message) -> Any:
        """The answer; of a stream, its first message.

        Raises:
            FailedCallError: the service refused it.
        """
        return self._run(self._call(method, principal, request))

    def sweep(self) -> int:
        """Record expiries of all tenants; how many."""
        return self._run(self._service.store.sweep())

    def check(self) -> list[str]:
        """What is wrong with the database."""
        return self._service.backend.check()

    def close(self) -> None:
        self._run(self._channel.close())
        self._run(self._running.__aexit__(None, None, None))
        self._loop.close()
        self._directory.cleanup()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(work)

    async def _connect(self) -> tuple[grpc.aio.Channel, tuple[Any, ...]]:
        channel = grpc.aio.insecure_channel(self._service.address)
        return channel, (DocumentsStub(channel), MemoriesStub(channel), ContainersStub(channel))

    async def _call(self, method: str, principal: Caller, request: Message) -> Any:
        stub = next(getattr(stub, method) for stub in self._stubs if hasattr(stub, method))
        call = stub(
            request, metadata=[("authorization", f"Bearer {principal.key}")], timeout=HANG_SECONDS
        )
        try:
            if isinstance(call, grpc.aio.UnaryStreamCall):
                try:
                    return await call.read()
                finally:
                    call.cancel()
            return await call
        except grpc.aio.AioRpcError as error:
            refusal = Refusal()
            read_refusal(error, refusal)
            raise FailedCallError(error.code().name, refusal) from None


@contextmanager
def running_sync_harness() -> Iterator[SyncHarness]:
    """A harness whose service logs nothing: thousands of calls are not to be read."""
    logging_before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    harness = SyncHarness()
    try:
        yield harness
    finally:
        harness.close()
        structlog.configure(**logging_before)

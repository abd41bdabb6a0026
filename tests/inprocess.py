"""The whole service on a Unix socket, inside the running event loop.

Copy this file, `backends/` and the fixture of `tests/rpc/conftest.py` to test a
program of your own against the real service: it is ready in milliseconds, needs
no port and no process, and its clock is yours.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from service.app import DEFAULT_OPTIONS, ServiceOptions, running
from service.core.times import WallClock
from service.rpc.server import Server
from service.rpc.tls import ServerTls
from service.settings import Settings
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.backends.selection import backend_of


class ManualClock:
    """Microseconds that pass only when told to, and one at each look."""

    _jumped = 0

    def __init__(self) -> None:
        self._now = time.time_ns() // 1000

    def __call__(self) -> int:
        self._now += 1
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1_000_000)

    def jump(self, seconds: float) -> None:
        """The clock is set forward or back, and no time passes."""
        self._jumped += round(seconds * 1_000_000)
        self.advance(seconds)

    def elapsed(self) -> float:
        """Seconds that have passed, whatever the clock was set to."""
        return (self._now - self._jumped) / 1_000_000

    def stamp(self, seconds: float = 0) -> Timestamp:
        """The instant that lies so many seconds ahead."""
        stamp = Timestamp()
        stamp.FromMicroseconds(self._now + round(seconds * 1_000_000))
        return stamp

    def tick(self) -> Timestamp:
        """Now, with a second of nothing before and after it."""
        self.advance(1)
        stamp = self.stamp()
        self.advance(1)
        return stamp


class SkewedClock(ManualClock):
    """The clock of another machine, so many seconds ahead of (or behind) the first one's."""

    def __init__(self, clock: ManualClock, ahead: float) -> None:
        self._clock = clock
        self._ahead = round(ahead * 1_000_000)

    def __call__(self) -> int:
        return self._clock() + self._ahead

    @property
    def _now(self) -> int:  # type: ignore[override]
        return self._clock._now + self._ahead

    def elapsed(self) -> float:
        return self._clock.elapsed()


@dataclass(frozen=True)
class Service:
    """A running service; `address` is a gRPC target, `http` where it listens for HTTP."""

    address: str
    backend: Backend
    store: SqlStore
    server: Server
    http: str
    tls: ServerTls | None

    def create_key(
        self,
        *,
        tenant: str = "test",
        containers: Sequence[str] = (),
        read_only: bool = False,
        expires_at: int | None = None,
    ) -> str:
        """The secret of a new key; `expires_at` in microseconds."""
        return self.backend.create_key(
            tenant, containers=containers, read_only=read_only, expires_at=expires_at
        )

    def revoke_key(self, secret: str) -> None:
        assert self.backend.revoke_key(secret)


@asynccontextmanager
async def running_service(
    directory: Path,
    clock: ManualClock,
    *,
    options: ServiceOptions = DEFAULT_OPTIONS,
    index_memory: int | None = None,
    **given: Any,
) -> AsyncIterator[Service]:
    """The service on `directory/socket`; SERVING when the block begins.

    Documents stay QUEUED unless `given`, which are settings, name `workers`. With
    `index_memory` in bytes, indexes may have less memory than a setting can say.
    """
    backend = backend_of(directory)
    settings = Settings(
        **{
            **backend.settings,
            "listen": f"unix:{directory / 'socket'}",
            "http": "",
            "sweep_interval": 3600,
            "workers": 0,
            "compute_processes": 0,
            "disk_reserve": 0,
            # What is logged must not depend on how busy the machine is.
            "slow_call_seconds": 86_400,
            **given,
        }
    )
    if index_memory is not None:
        settings = settings.model_copy(update={"index_memory": index_memory})
    wall = WallClock(clock, clock.elapsed)
    async with running(settings, clock=wall, options=options) as service:
        yield Service(
            service.address,
            backend,
            service.store,
            service.server,
            service.http or "",
            service.tls,
        )

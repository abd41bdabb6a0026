"""Which writes may use the room on a disk that runs full.

Writes that add are refused as soon as the reserve is not whole. Writes that delete give it
up: they need room in the log, and every page they free is free for later writes. While the
file has many free pages, writes that add need room in the log alone, which a checkpoint
gives back; they may then use one half of the reserve.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from service.core.errors import PalimpsestError, Reason
from service.storage.dialects import lacks_room
from service.storage.sqlite.disk_reserve import DiskReserve

T = TypeVar("T")

RETRY_SECONDS: Final = 1.0
"""Between two checkpoints that are made for writes which add, while nothing is deleted."""


def storage_full() -> PalimpsestError:
    return PalimpsestError(
        Reason.STORAGE_FULL, "The disk is full; nothing was written", retry_after=10
    )


class Write(Protocol):
    """Runs work in a transaction that is on the disk when it returns."""

    async def __call__(
        self, work: Callable[[Connection], T], committed: Callable[[T], None] | None = None
    ) -> T: ...


class DiskRoom:
    """Runs writes as far as there is room.

    Args:
        reserve: None: there is none, and the disk's own limit is all there is.
        write: Runs work in a transaction.
        checkpoint: Empties the log.
    """

    def __init__(
        self,
        reserve: DiskReserve | None,
        write: Write,
        checkpoint: Callable[[], Awaitable[bool]],
    ) -> None:
        self._reserve = reserve
        self._write = write
        self._checkpoint = checkpoint
        self._next_try = 0.0

    async def write(
        self,
        work: Callable[[Connection], T],
        committed: Callable[[T], None] | None = None,
        *,
        frees: bool,
    ) -> T:
        """Run `work`, which only deletes if it `frees`; raises STORAGE_FULL.

        `committed` gets the result once it is on the disk.
        """
        if frees:
            done = await self._freeing(work, committed)
            self._next_try = 0.0
            return done
        try:
            return await self._write(self._guarded(work), committed)
        except PalimpsestError as error:
            if not lacks_room(error) or not self._may_try():
                raise
        await self.empty_log()
        return await self._write(self._guarded(work, lend=True), committed)

    async def _freeing(
        self, work: Callable[[Connection], T], committed: Callable[[T], None] | None
    ) -> T:
        try:
            return await self._write(work, committed)
        except PalimpsestError as error:
            if not lacks_room(error):
                raise
        with self.given_up():
            await self.empty_log()
            return await self._write(work, committed)

    def _may_try(self) -> bool:
        now = time.monotonic()
        if now < self._next_try:
            return False
        self._next_try = now + RETRY_SECONDS
        return True

    def _guarded(
        self, work: Callable[[Connection], T], *, lend: bool = False
    ) -> Callable[[Connection], T]:
        """The same work, refused while it would use the reserve."""
        reserve = self._reserve
        if reserve is None:
            return work

        def guarded(conn: Connection) -> T:
            if not reserve.held(reserve.size) or lend:
                spare = _free_bytes(conn) >= reserve.size
                if spare and lend:
                    reserve.lend()
                if not reserve.make(reserve.size // 2 if spare else reserve.size):
                    raise storage_full()
            return work(conn)

        return guarded

    @contextlib.contextmanager
    def given_up(self) -> Iterator[None]:
        """Inside, the reserve is there to be used."""
        if self._reserve is None:
            yield
            return
        with self._reserve.given_up():
            yield

    async def empty_log(self) -> None:
        """Give back the room that the log has, as far as that can be done now."""
        with contextlib.suppress(PalimpsestError):
            await self._checkpoint()

    def renew(self) -> None:
        """Make the reserve whole again, if there is room for it."""
        if self._reserve is not None:
            self._reserve.make(self._reserve.size)

    def close(self) -> None:
        if self._reserve is not None:
            self._reserve.close()


def _free_bytes(conn: Connection) -> int:
    """Of pages that the file has and nothing uses."""
    pages: int = conn.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    size: int = conn.exec_driver_sql("PRAGMA page_size").scalar_one()
    return pages * size

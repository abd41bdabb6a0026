"""What a backend supplies: transactions, upkeep, and notice of changes to the keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

NO_TENANT: Final = 0
"""The service itself, and reads on behalf of many tenants."""

KEYS: Final = 0
"""Takes the place of a tenant in `Revisions`: how often keys were created or revoked.

Tenants begin at 1.
"""

Revisions: TypeAlias = Mapping[int, int]
"""Of tenants, by their number."""


class Database(Protocol):
    """Where transactions run: SQLite in this process, or PostgreSQL."""

    async def write(
        self,
        work: Callable[[Connection], T],
        revisions: Callable[[T], Revisions] | None = None,
        *,
        frees: bool = False,
    ) -> T:
        """Run `work` in a transaction that is on the disk when this returns.

        Args:
            work: What to do; run again if it failed for lack of room.
            revisions: What is acknowledged by that, which a database that could lose it
                without a trace keeps note of.
            frees: It deletes only, and may use the room that is kept for deletions.

        Raises:
            PalimpsestError: STORAGE_FULL, STORAGE_UNAVAILABLE.
        """
        ...

    async def read(
        self, work: Callable[[Connection], T], *, snapshot: bool = True, tenant: int = NO_TENANT
    ) -> T:
        """Run `work` on one snapshot, or, without, each statement on its own.

        Tenants take turns, and `work` may run again from its beginning. It stops when
        the caller is cancelled.
        """
        ...

    def translated(self, error: BaseException) -> BaseException:
        """The error for callers instead of a database error; others stay as they are."""
        ...

    def pause(self) -> None:
        """Called in a transaction before one of several long statements.

        Where statements run in this process, other threads get the processor.
        """
        ...

    @property
    def idle(self) -> bool:
        """Whether no read is being served."""
        ...

    async def checkpoint(self) -> bool: ...

    def hurry(self) -> None:
        """Do not wait for other processes any more: no caller waits for the results."""
        ...

    async def close(self) -> None: ...


class Maintenance(Protocol):
    """What a backend does, so that deleted data also leaves its files."""

    def on_erased(self, conn: Connection) -> None:
        """Note it in the transaction that deletes or replaces something."""
        ...

    def on_commit(self, now: int, *, erased: bool) -> None:
        """Something was committed at `now`.

        Args:
            now: The wall clock, in microseconds.
            erased: Whether something was deleted or replaced.
        """
        ...


class KeyEpoch(Protocol):
    """Tells every process that keys were changed by one of them."""

    def current(self) -> object:
        """Differs after every change; called for each request, so it must be cheap."""
        ...

    def advance(self) -> None:
        """Say that keys were changed."""
        ...

    def close(self) -> None: ...


class NoMaintenance:
    """Of a process that only reads."""

    def on_erased(self, conn: Connection) -> None:
        pass

    def on_commit(self, now: int, *, erased: bool) -> None:
        pass


class NoKeyEpoch:
    """Of a process that authenticates no callers."""

    def current(self) -> object:
        return None

    def advance(self) -> None:
        pass

    def close(self) -> None:
        pass

"""Leases of jobs: which of their holders are alive, as one server sees it.

A holder is alive as long as it renews its leases, and dead when a server has watched one
for as long as it lasts and seen no change of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, select, text

from service.core.liveness import LivenessObserver
from service.core.times import SECOND, WallClock
from service.ports.processing import Job
from service.storage.tables import NOT_FRESH, jobs

HELD: Final = 2**61
"""Added to the `due_time` of a job that is held: no clock comes to it."""

LONGEST_PAUSE: Final = 600 * SECOND
"""Longer than every pause between tries: what is put off for more was put off by a clock
that was ahead."""

CHECK_SECONDS: Final = 1.0
"""Between two checks of the leases, if they last for some seconds."""

_STEP: Final = 2**16
_MILLISECOND: Final = SECOND // 1000

# In the words of the partial index, so that it is found.
_PUT_OFF = select(
    jobs.c.tenant, jobs.c.document_id, jobs.c.revision, jobs.c.holder, jobs.c.due_time
).where(text(f"due_time > {NOT_FRESH}"), jobs.c.due_time > bindparam("late"))


class PutOff(NamedTuple):
    """A job that is not due for long: it is held, or (without a holder) put off wrongly."""

    tenant: int
    document_id: str
    revision: int
    holder: str | None
    due_time: int


def stamp(now: int, lease: float) -> int:
    """The `due_time` of a job whose lease of so many seconds is taken or renewed at `now`.

    Differs from what it was before, and says how long the lease lasts.
    """
    return HELD + now // _MILLISECOND * _STEP + min(round(lease * 10), _STEP - 1)


def lasts(due_time: int) -> float:
    """How many seconds the lease lasts that this is the stamp of."""
    return due_time % _STEP / 10


def put_off(conn: Connection, now: int) -> list[PutOff]:
    rows = conn.execute(_PUT_OFF, {"late": now + LONGEST_PAUSE}).all()
    return [PutOff(*row) for row in rows]


class Leases:
    """What one server has observed of leases, its own and those of others."""

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._checked: float | None = None
        self._stamps: LivenessObserver[tuple[int, str]] = LivenessObserver(clock.elapsed)
        """By document."""

    def check_due(self, lease: float) -> bool:
        """Whether it is time to check again; true once in that time."""
        now = self._clock.elapsed()
        if self._checked is not None and now - self._checked < min(CHECK_SECONDS, lease / 4):
            return False
        self._checked = now
        return True

    def renewed(self, held: Iterable[Job], stamped: int) -> None:
        """This server has taken or renewed these leases."""
        self._stamps.note({(job.tenant, job.document_id): stamped for job in held})

    def lapsed(self, found: Sequence[PutOff]) -> list[PutOff]:
        """Those of all jobs that are put off which are free for others."""
        unchanged = self._stamps.observe(
            {(one.tenant, one.document_id): one.due_time for one in found}
        )
        return [
            one
            for one in found
            if one.holder is None or unchanged[one.tenant, one.document_id] >= lasts(one.due_time)
        ]

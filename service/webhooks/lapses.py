"""Which webhooks of other servers are free, as those have died."""

from __future__ import annotations

from collections.abc import Iterable

from service.core.times import WallClock
from service.ports.webhooks import DueWebhook


class Lapses:
    """What one server has seen of the others.

    The clocks of servers differ, so none compares a time that another has written with its own:
    one that has changed nothing for as long as a lease lasts is dead.

    Args:
        clock: How time passes.
        lease: Seconds.
    """

    def __init__(self, clock: WallClock, lease: float) -> None:
        self._clock = clock
        self._lease = lease
        self._seen: dict[tuple[int, str], tuple[str | None, int, float]] = {}

    def free(self, found: Iterable[DueWebhook], holder: str) -> list[DueWebhook]:
        """Those that nobody holds but `holder` or a server that is dead."""
        now, before = self._clock.elapsed(), self._seen
        self._seen = {}
        free = []
        for due in found:
            key = due.tenant, due.id
            held, beat, since = before.get(key, (due.holder, due.beat, now))
            if (held, beat) != (due.holder, due.beat):
                since = now
            self._seen[key] = due.holder, due.beat, since
            if due.holder in (None, holder) or now - since >= self._lease:
                free.append(due)
        return free

"""What a service process does for the database in addition to serving calls."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from sqlalchemy import Connection

from service.core.errors import PalimpsestError
from service.storage.postgres import statistics
from service.storage.postgres.clock import DatabaseClock
from service.storage.postgres.database import PostgresDatabase

log = logging.getLogger(__name__)


class PostgresMaintenance:
    """Keeps the planner's statistics and the clock up to date.

    What is deleted leaves PostgreSQL's files by PostgreSQL's own means.

    Args:
        database: The database.
        clock: Is set by PostgreSQL's; None: time is judged by another one.
        interval: Seconds, see `StoreOptions.statistics_interval`.
    """

    def __init__(
        self, database: PostgresDatabase, clock: DatabaseClock | None, interval: float
    ) -> None:
        self._database = database
        self._clock = clock
        self._interval = interval
        self._written = True

    def on_erased(self, conn: Connection) -> None:
        pass

    def on_commit(self, now: int, *, erased: bool) -> None:
        self._written = True

    async def run_forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.run_if_due()
            except PalimpsestError as error:
                log.warning("statistics are renewed later: %s", error)
            except Exception:
                log.exception("statistics are not renewed; it will be tried again")

    async def run_if_due(self) -> None:
        """Measure the clock, and analyse tables that have grown."""
        clock = self._clock
        if clock is not None and clock.due:
            await self._database.run_alone(clock.measure)
        if not self._written:
            return
        self._written = False
        for name in await self._database.run_alone(statistics.grown):
            await self._database.run_alone(partial(statistics.analyze, name=name))

"""Maintenance of the file: what was deleted leaves the write-ahead log, then page slack."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import Connection

from service.core.errors import PalimpsestError
from service.storage.engine import StoreOptions
from service.storage.sqlite import scrubbing
from service.storage.sqlite.database import SqliteDatabase
from service.storage.sqlite.scrubbing import Schedule
from service.storage.statistics import TaskStatistics

log = logging.getLogger(__name__)

SCRUB_CHECK_SECONDS = 1.0
"""Between two checks whether a scrub is due."""


class SqliteMaintenance:
    """Checkpoints and scrubs one file.

    Args:
        path: The file.
        database: Its connections.
        options: When to checkpoint and to scrub.
        now: The wall clock.
        unscrubbed: Whether an earlier process left deletions for a scrub.
    """

    def __init__(
        self,
        path: Path,
        database: SqliteDatabase,
        options: StoreOptions,
        now: Callable[[], int],
        *,
        unscrubbed: bool,
    ) -> None:
        self._path = path
        self._database = database
        self._options = options
        self._now = now
        self.scrubs = Schedule(options.scrub_interval, options.scrub_window, options.scrub_limit)
        self.checkpoint_statistics = TaskStatistics(now)
        self.scrub_statistics = TaskStatistics(now)
        # What a crash left in the log may hold deletions, too.
        self._checkpoint_due = True
        self._warned = False
        if unscrubbed:
            self.scrubs.wrote(now(), erased=True)

    def on_erased(self, conn: Connection) -> None:
        scrubbing.mark(conn)

    def on_commit(self, now: int, *, erased: bool) -> None:
        self._checkpoint_due = True
        self.scrubs.wrote(now, erased=erased)

    async def checkpoint_forever(self) -> None:
        while True:
            await asyncio.sleep(self._options.checkpoint_interval)
            self._database.room.renew()
            if not self._checkpoint_due:
                continue
            self._checkpoint_due = False
            began = time.monotonic()
            try:
                done = await self._database.checkpoint()
            except PalimpsestError as error:
                log.warning("the checkpoint waits: %s", error)
                done = False
            except Exception:
                log.exception("the checkpoint failed; it will be tried again")
                done = False
            self.checkpoint_statistics.ended(time.monotonic() - began, succeeded=done)
            self._checkpoint_due = self._checkpoint_due or not done

    async def scrub_if_due(self, prepare: Callable[[], Awaitable[None]]) -> bool:
        """Rewrite the file without what deletion left in it, if it is time; True if done.

        Args:
            prepare: Called before, to delete what is still to be deleted.
        """
        schedule, now = self.scrubs, self._now()
        size = self._path.stat().st_size
        if not schedule.due(now, size):
            if schedule.unscheduled(size) and not self._warned:
                self._warned = True
                log.warning(
                    "the database is too large to be scrubbed at any time: set scrub_window, "
                    "or run `palimpsest scrub` to remove the last traces of what was deleted"
                )
            return False
        await prepare()
        schedule.begin()
        started = time.monotonic()
        try:
            emptied = await self._database.scrub()
        except BaseException:
            schedule.failed(now)
            self._checkpoint_due = True
            self.scrub_statistics.ended(time.monotonic() - started, succeeded=False)
            raise
        took = time.monotonic() - started
        schedule.end(self._now(), took)
        self.scrub_statistics.ended(took, succeeded=True)
        self._checkpoint_due = self._checkpoint_due or not emptied
        return True

    async def scrub_forever(self, prepare: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(min(self._options.scrub_interval, SCRUB_CHECK_SECONDS))
            try:
                await self.scrub_if_due(prepare)
            except PalimpsestError as error:
                log.warning("scrubbing waits: %s", error)
            except Exception:
                log.exception("scrubbing failed; it will be tried again")

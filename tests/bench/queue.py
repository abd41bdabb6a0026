"""Documents that wait to be processed: so that what is measured next is measured alone."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from service.settings import database_path
from tests.harness import Server

POLL_SECONDS = 0.05


def waiting(server: Server) -> int:
    """How many; read from the database, to cost the server nothing."""
    address = f"file:{database_path(server.data_dir)}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM jobs").fetchone()[0])


async def processed(server: Server, but: int = 0) -> None:
    """Return when every document is DONE or FAILED, but for so many."""
    while waiting(server) > but:  # noqa: ASYNC110  (another process does it)
        await asyncio.sleep(POLL_SECONDS)

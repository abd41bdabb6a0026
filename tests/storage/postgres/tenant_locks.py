"""A tenant as another transaction has it that writes for it and has not ended yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.backends.postgres import PostgresBackend
from tests.waiting import until


@asynccontextmanager
async def tenant_locked(server: PostgresBackend, tenant: int) -> AsyncIterator[None]:
    """The tenant's row is locked by a transaction that ends with the block."""
    other = await asyncpg.connect(server.address)
    try:
        await other.execute("BEGIN")
        await other.execute("SELECT 1 FROM tenants WHERE tenant = $1 FOR UPDATE", tenant)
        yield
    finally:
        await other.close()


async def lock_waited_for(server: PostgresBackend) -> None:
    """Returns when a transaction waits for one that another has."""
    await until(
        lambda: bool(
            server.rows(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )
    )

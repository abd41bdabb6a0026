"""What a call's stages say of waiting for other transactions."""

from __future__ import annotations

import asyncio
from time import perf_counter

from service.core import model as m
from service.runtime import call_stages
from service.runtime.call_stages import CallStages
from service.storage.store import SqlStore
from tests.backends.postgres import PostgresBackend
from tests.storage.postgres.tenant_locks import lock_waited_for, tenant_locked


async def test_a_write_says_how_long_another_transaction_had_its_tenant(
    server: PostgresBackend, store: SqlStore, principal: m.Principal
) -> None:
    stages = CallStages()

    async def write() -> None:
        call_stages.enter(stages)
        await store.documents.upsert(principal, m.DocumentWrite("text"), None)

    async with tenant_locked(server, principal.tenant):
        locked = perf_counter()
        writing = asyncio.create_task(write())
        await lock_waited_for(server)
        waited = perf_counter()
    await writing

    noted = {name: (began, ended) for name, began, ended in stages.noted}
    began, ended = noted["transaction.lock"]
    assert locked < began < waited < ended
    whole_began, whole_ended = noted["transaction"]
    assert whole_began <= began < ended <= whole_ended

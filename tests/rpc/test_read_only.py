"""A database that lets nobody write, while the service runs and when it starts."""

from __future__ import annotations

from grpc import StatusCode
from sqlalchemy import Connection

from palimpsest.v1.memories_pb2 import UpdateMemoryRequest
from service.storage.sqlite.store import SqliteStore
from tests.client import Client, refused
from tests.inprocess import Service


async def _let_write(service: Service, allowed: bool) -> None:
    """As a file system does that turns read-only under a database that is open."""

    def switch(conn: Connection) -> None:
        conn.exec_driver_sql(f"PRAGMA query_only={'OFF' if allowed else 'ON'}")

    assert isinstance(service.store, SqliteStore)
    await service.store.file._writer.run(switch)


async def test_a_read_only_database_is_read_on_and_recovered_from(
    client: Client, service: Service
) -> None:
    await client.put("first", custom_id="one")
    (made,) = await client.remember("first")

    await _let_write(service, False)
    with refused(StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE") as refusal:
        await client.put("second", custom_id="one")
    assert "RetryInfo" in refusal.kinds
    with refused(StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE"):
        await client.memories.UpdateMemory(UpdateMemoryRequest(id=made.id, new_content="second"))
    assert (await client.get("one")).content == "first"
    assert [memory.content for memory in await client.remembered()] == ["first"]

    await _let_write(service, True)
    receipt = await client.put("second", custom_id="one")
    assert (receipt.changed, receipt.revision) == (True, 3)
    assert (await client.get("one")).content == "second"

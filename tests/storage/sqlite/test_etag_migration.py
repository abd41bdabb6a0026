"""Etags are a tenant's own in a database of a release whose etags were not."""

from __future__ import annotations

import base64
from hashlib import blake2b
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.core.times import WallClock
from service.storage import schema
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from tests.old_schemas import set_back
from tests.storage.conftest import Clock

BEFORE = "0005"
"""The schema before etags were keyed by tenant."""

WRITES = [
    m.DocumentWrite("text", "plain"),
    m.DocumentWrite("text", "tagged", ("a", "b"), {"n": 1.0}, "Title", 1_700_000_000_000_000),
    m.DocumentWrite("<p>text", "html", kind=m.ContentKind.HTML),
]


async def _tenants(store: SqliteStore) -> list[m.Principal]:
    names = ("one", "two")
    return [m.Principal(await store.ensure_tenant(name), "test") for name in names]


async def _etags(store: SqliteStore, principal: m.Principal) -> dict[str, str]:
    page = await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(10_000))
    return {document.custom_id or "": document.etag for document in page.items}


def _age(conn: Connection) -> None:
    """Make the documents' etags as earlier releases did: no tenant in them."""
    secret = schema.digest_secret(conn)
    rows = conn.execute(text("/* look */ SELECT * FROM documents")).all()
    for row in rows:
        tags = "\0".join(tag for tag in ("a", "b", "default") if f'"{tag}"' in row.containers)
        parts = [row.content_hash, row.metadata, tags, row.title, row.document_date]
        parts += [] if row.kind == m.ContentKind.TEXT else [row.kind]
        framed = b"".join(
            b"-" if data is None else b"%d:%b" % (len(data), data)
            for data in (
                part if part is None or isinstance(part, bytes) else str(part).encode()
                for part in parts
            )
        )
        digest = blake2b(framed, digest_size=12, key=secret[:64], person=b"etag").digest()
        conn.execute(
            text("UPDATE documents SET etag = :etag WHERE tenant = :tenant AND id = :id"),
            {
                "etag": base64.urlsafe_b64encode(digest).decode(),
                "tenant": row.tenant,
                "id": row.id,
            },
        )
    set_back(conn, BEFORE)


async def test_an_upgrade_makes_etags_again_and_still_knows_what_is_there(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "palimpsest.db"
    options = StoreOptions(sweep_interval=3600, checkpoint_interval=3600)
    store = await open_store(path, options, WallClock(clock))
    tenants = await _tenants(store)
    for principal in tenants:
        await store.documents.batch_upsert(principal, WRITES, None)
        # More than a migration takes at once.
        more = [m.DocumentWrite(f"text {i}", f"more {i}") for i in range(1100)]
        await store.documents.batch_upsert(principal, more, None)
    expected = [await _etags(store, principal) for principal in tenants]
    await store.close()
    with open_sync(path) as conn:
        transact(conn, _age)
        rows = conn.execute(text("/* look */ SELECT custom_id, etag FROM documents")).all()
    aged = {row.custom_id: row.etag for row in rows}
    assert len(set(rows)) == len(aged) == len(expected[0])  # Equal in both tenants.

    store = await open_store(path, options, WallClock(clock))
    try:
        assert [await _etags(store, principal) for principal in tenants] == expected
        for principal in tenants:
            for write in WRITES:
                name = write.custom_id or ""
                held = m.DocumentPatch(name, title="X", etag=aged[name])
                with pytest.raises(PalimpsestError) as refused:
                    await store.documents.update(principal, held, None)
                assert refused.value.reason is Reason.ETAG_MISMATCH
                same = await store.documents.upsert(principal, write, None)
                assert not same.changed
    finally:
        await store.close()


async def test_an_upgrade_makes_no_etag_of_what_is_damaged(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "palimpsest.db"
    store = await open_store(path, StoreOptions(), WallClock(clock))
    principal = m.Principal(await store.ensure_tenant("one"), "test")
    await store.documents.batch_upsert(principal, WRITES, None)
    await store.close()
    with open_sync(path) as conn:
        transact(conn, _age)
        for name, damage in (("tagged", "title = 'Titel'"), ("html", "containers = '['")):
            conn.execute(
                text(f"/* damage */ UPDATE documents SET {damage} WHERE custom_id = :name"),
                {"name": name},
            )
    SqliteAdministration(path).migrate()
    found = SqliteAdministration(path).check(lambda _: None)
    assert len([one for one in found if "does not match its digest" in one]) == 2

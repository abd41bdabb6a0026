"""Custom ids get a home in a database of a release in which they were unique in the tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.core.times import WallClock
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from tests.old_schemas import set_back
from tests.storage.conftest import Clock

BEFORE = "0008"
"""The schema before homes."""

OPTIONS = StoreOptions(sweep_interval=3600, checkpoint_interval=3600)
WRITES = [
    m.DocumentWrite("profile", "profile", ("ann",), {"n": 1.0}, "Title", 1_700_000_000_000_000),
    # As a release wrote it that sorted containers.
    m.DocumentWrite("shared", "shared", ("a", "b", "c")),
    m.DocumentWrite("unnamed", None, ("a", "b")),
    m.DocumentWrite("<p>text", "html", kind=m.ContentKind.HTML),
]


@dataclass(frozen=True)
class Upgraded:
    """The store after the upgrade, and its documents before, oldest first."""

    store: SqliteStore
    principal: m.Principal
    before: list[m.Document]

    async def documents(self) -> list[m.Document]:
        page = await self.store.documents.list(
            self.principal, m.DocumentQuery(), m.PageRequest(100)
        )
        return sorted(page.items, key=lambda document: document.id)

    def limited(self, *containers: str) -> m.Principal:
        return m.Principal(self.principal.tenant, "limited", frozenset(containers))


@pytest_asyncio.fixture
async def upgraded(tmp_path: Path, clock: Clock) -> AsyncIterator[Upgraded]:
    path = tmp_path / "palimpsest.db"
    store = await open_store(path, OPTIONS, WallClock(clock))
    principal = m.Principal(await store.ensure_tenant("one"), "test")
    await store.documents.batch_upsert(principal, WRITES, None)
    before = await Upgraded(store, principal, []).documents()
    await store.close()
    with open_sync(path) as conn:
        transact(conn, lambda conn: set_back(conn, BEFORE))
        columns = {row.name for row in conn.execute(text("PRAGMA table_info(documents)"))}
        assert "home" not in columns
    store = await open_store(path, OPTIONS, WallClock(clock))
    try:
        yield Upgraded(store, principal, before)
    finally:
        await store.close()


async def test_documents_are_as_they_were_and_in_the_same_order(upgraded: Upgraded) -> None:
    assert await upgraded.documents() == upgraded.before
    assert [document.containers for document in upgraded.before] == [
        write.containers or ("default",) for write in WRITES
    ]
    assert SqliteAdministration(upgraded.store.path).check(lambda _: None) == []


async def test_custom_ids_are_unique_in_the_first_container(upgraded: Upgraded) -> None:
    documents, principal = upgraded.store.documents, upgraded.principal
    profile, shared, *_ = upgraded.before

    for name, home, document in (("profile", "ann", profile), ("shared", "a", shared)):
        assert (await documents.get(principal, name, home)).id == document.id
        assert (await documents.get(principal, name)).id == document.id
    again = await documents.upsert(principal, WRITES[0], None)
    assert (again.id, again.changed, again.etag) == (profile.id, False, profile.etag)
    other = await documents.upsert(principal, m.DocumentWrite("ben's", "profile", ("ben",)), None)
    assert other.created
    with pytest.raises(PalimpsestError) as refused:
        await documents.get(principal, "profile")
    assert refused.value.reason is Reason.AMBIGUOUS_CUSTOM_ID
    assert SqliteAdministration(upgraded.store.path).check(lambda _: None) == []


async def test_a_key_of_another_of_its_containers_finds_it_by_its_custom_id(
    upgraded: Upgraded,
) -> None:
    documents = upgraded.store.documents
    _, shared, *_ = upgraded.before

    for container in ("a", "b", "c"):
        found = await documents.get(upgraded.limited(container), "shared")
        assert (found.id, found.containers) == (shared.id, (container,))
    with pytest.raises(PalimpsestError) as refused:
        await documents.get(upgraded.limited("ann"), "shared")
    assert refused.value.reason is Reason.DOCUMENT_NOT_FOUND


async def test_damaged_containers_are_left_for_the_check_to_tell(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "damaged.db"
    store = await open_store(path, OPTIONS, WallClock(clock))
    principal = m.Principal(await store.ensure_tenant("one"), "test")
    await store.documents.batch_upsert(principal, WRITES, None)
    await store.close()
    with open_sync(path) as conn:
        transact(conn, lambda conn: set_back(conn, BEFORE))
        damage = "UPDATE documents SET containers = '[' WHERE custom_id = 'shared'"
        conn.execute(text(f"/* damage */ {damage}"))
    SqliteAdministration(path).migrate()
    found = SqliteAdministration(path).check(lambda _: None)
    assert any(one.startswith("document and memberships differ") for one in found)
    assert not any("home" in one for one in found)

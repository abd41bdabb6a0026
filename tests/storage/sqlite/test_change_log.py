"""What the change log loses: tags of deleted containers, and changes that are too old."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.core.model import ChangeKind
from service.core.times import WallClock
from service.ports.indexing import BlockCursor
from service.storage import change_log, schema
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from tests.storage.conftest import START, Clock

DAY = 86_400
TAG = "zqsecrettag"
SPACE = 0


def read(path: Path, sql: str) -> Sequence[Any]:
    with open_sync(path) as conn:
        return conn.execute(text(f"/* look */ {sql}")).all()


def tables_with(path: Path, tag: str) -> list[str]:
    """Tables with a row that has the tag in it."""
    found = []
    with open_sync(path) as conn:
        for (table,) in conn.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).all():
            rows = conn.exec_driver_sql(f"/* look */ SELECT * FROM {table}").all()
            if any(tag in str(value) for row in rows for value in row):
                found.append(table)
    return found


def _bytes_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def request() -> m.IdempotencyKey:
    return m.IdempotencyKey(str(uuid.uuid4()), b"fingerprint")


async def use(store: SqliteStore, principal: m.Principal, tag: str) -> None:
    """Everything that can put a container's tag into the database."""
    await store.documents.upsert(principal, m.DocumentWrite("a", "c", (tag, "other")), request())
    await store.documents.upsert(principal, m.DocumentWrite("b", containers=(tag,)), request())
    await store.documents.update(principal, m.DocumentPatch("c", title="t"), request())
    made = await store.memories.create(
        principal, m.MemoryCreate(tag, (m.NewMemory("one"), m.NewMemory("two"))), request()
    )
    one, two = (m.MemoryTarget(tag, receipt.id) for receipt in made.receipts)
    updated = await store.memories.update(principal, m.MemoryUpdate(one, "uno"), request())
    await store.memories.forget(principal, m.MemoryForget(two), request())
    await store.memories.restore(principal, m.MemoryRestore(tag, two.id or ""), request())
    forgotten = await store.memories.forget_many(
        principal, m.MemoryForgetMany(tag, (updated.receipt.id,)), request(), validate_only=False
    )
    await store.memories.restore_many(
        principal, m.MemoryRestoreMany(tag, forgotten.forget_batch_id), request()
    )


async def delete(store: SqliteStore, principal: m.Principal, tag: str) -> None:
    done = await store.containers.delete(
        principal, tag, request(), validate_only=False, allow_missing=False, budget=None
    )
    assert done.container_deleted


async def test_a_deleted_containers_tag_is_in_no_table(
    store: SqliteStore, principal: m.Principal
) -> None:
    await use(store, principal, TAG)
    assert "changes" in tables_with(store.path, TAG)
    await delete(store, principal, TAG)
    await store.redact()
    assert tables_with(store.path, TAG) == []
    digest = store.digester.tag(principal.tenant, TAG)
    changed = read(store.path, f"SELECT kind, entity_id FROM changes WHERE container = '{digest}'")
    assert {row.kind for row in changed} > {"document.created", "memory.updated"}
    assert [row.entity_id for row in changed if row.kind == ChangeKind.CONTAINER_DELETED] == [
        digest
    ]
    assert SqliteAdministration(store.path).check(lambda _: None) == []


async def test_the_sweep_takes_tags_out_and_asks_for_a_scrub(
    store: SqliteStore, principal: m.Principal, clock: Clock
) -> None:
    await use(store, principal, TAG)
    await delete(store, principal, TAG)
    store.maintenance.scrubs.begin()
    assert not store.maintenance.scrubs.pending
    await store.sweep()
    assert tables_with(store.path, TAG) == []
    assert store.maintenance.scrubs.pending


async def test_scrubbing_by_hand_takes_tags_out_without_a_server(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "a.db"
    store = await open_store(path, StoreOptions(sweep_interval=3600), WallClock(clock))
    principal = m.Principal(await store.ensure_tenant("test"), "key")
    await use(store, principal, TAG)
    await delete(store, principal, TAG)
    await store.close()
    assert tables_with(path, TAG)
    SqliteAdministration(path).scrub(lambda _: None)
    assert tables_with(path, TAG) == []
    assert TAG.encode() not in _bytes_of(tmp_path)


async def test_digests_are_of_one_tenant(store: SqliteStore, principal: m.Principal) -> None:
    digest = store.digester.tag(principal.tenant, TAG)
    assert digest == store.digester.tag(principal.tenant, TAG)
    assert digest != store.digester.tag(principal.tenant + 1, TAG)
    assert digest != store.digester.tag(principal.tenant, TAG + "x")
    other = m.Principal(await store.ensure_tenant("another"), "key")
    for each in (principal, other):
        await use(store, each, TAG)
        await delete(store, each, TAG)
    await store.redact()
    found = read(
        store.path, "SELECT DISTINCT tenant, container FROM changes WHERE container LIKE '~%'"
    )
    assert {(row.tenant, row.container) for row in found} == {
        (each.tenant, store.digester.tag(each.tenant, TAG)) for each in (principal, other)
    }


async def test_a_container_that_is_made_again_keeps_its_new_changes(
    store: SqliteStore, principal: m.Principal
) -> None:
    await use(store, principal, TAG)
    await delete(store, principal, TAG)
    again = await store.documents.upsert(principal, m.DocumentWrite("new", containers=(TAG,)), None)
    await store.redact()
    changed = read(store.path, f"SELECT entity_id FROM changes WHERE container = '{TAG}'")
    assert [row.entity_id for row in changed] == [again.id]
    await delete(store, principal, TAG)
    await store.redact()
    assert tables_with(store.path, TAG) == []
    assert SqliteAdministration(store.path).check(lambda _: None) == []


async def test_many_changes_are_rewritten_in_steps(
    store: SqliteStore, principal: m.Principal
) -> None:
    writes = [m.DocumentWrite("text", containers=(TAG,)) for _ in range(600)]
    await store.documents.batch_upsert(principal, writes, None)
    await delete(store, principal, TAG)
    steps = 0
    with open_sync(store.path) as conn:
        while transact(conn, lambda conn: change_log.redact(conn, store.digester)):
            steps += 1
    assert steps == 1201 // change_log.STEP + 1
    assert tables_with(store.path, TAG) == []


async def test_repeated_calls_are_answered_with_the_container_they_name(
    store: SqliteStore, principal: m.Principal
) -> None:
    create = m.MemoryCreate(TAG, (m.NewMemory("one"),))
    calls = [request() for _ in range(4)]
    made = await store.memories.create(principal, create, calls[0])
    update = m.MemoryUpdate(m.MemoryTarget(TAG, made.receipts[0].id), "uno")
    updated = await store.memories.update(principal, update, calls[1])
    forget = m.MemoryForget(m.MemoryTarget(TAG, updated.receipt.id))
    forgotten = await store.memories.forget(principal, forget, calls[2])
    restore = m.MemoryRestore(TAG, updated.receipt.id)
    restored = await store.memories.restore(principal, restore, calls[3])
    assert "requests" not in tables_with(store.path, TAG)
    assert made == await store.memories.create(principal, create, calls[0])
    assert updated == await store.memories.update(principal, update, calls[1])
    assert forgotten == await store.memories.forget(principal, forget, calls[2])
    assert restored == await store.memories.restore(principal, restore, calls[3])
    assert made.receipts[0].container == TAG


@pytest.mark.parametrize("again", [False, True])
async def test_an_index_notices_a_deletion_whose_changes_lost_the_tag(
    store: SqliteStore, principal: m.Principal, again: bool
) -> None:
    made = await store.memories.create(principal, m.MemoryCreate(TAG, (m.NewMemory("one"),)), None)
    await store.memories.create(principal, m.MemoryCreate("other", (m.NewMemory("two"),)), None)
    known = (await store.index.block(principal.tenant, TAG, BlockCursor(), SPACE)).revision
    assert TAG in await store.index.unchanged(principal.tenant, {TAG: known})
    await delete(store, principal, TAG)
    await store.redact()
    assert await store.index.unchanged(principal.tenant, {TAG: known}) == {}
    fresh = None
    if again:
        fresh = await store.memories.create(
            principal, m.MemoryCreate(TAG, (m.NewMemory("three"),)), None
        )
    delta = await store.index.delta(principal.tenant, TAG, known, SPACE)
    assert delta.entities is not None
    assert made.receipts[0].id in delta.entities
    assert [row.id for row in delta.memories] == ([fresh.receipts[0].id] if fresh else [])
    assert TAG in await store.index.unchanged(principal.tenant, {TAG: delta.revision})
    assert "other" in await store.index.unchanged(principal.tenant, {"other": known})


@pytest.fixture
async def kept_for_a_day(tmp_path: Path, clock: Clock) -> Any:
    options = StoreOptions(sweep_interval=3600, checkpoint_interval=3600, change_retention=DAY)
    store = await open_store(tmp_path / "day.db", options, WallClock(clock))
    yield store
    await store.close()


def _state(store: SqliteStore) -> tuple[int, int, list[int]]:
    """The tenant's revision, its oldest kept one, and those that are there."""
    [tenant] = read(store.path, "SELECT revision, oldest_revision FROM tenants")
    revisions = read(store.path, "SELECT DISTINCT revision FROM changes ORDER BY revision")
    return tenant.revision, tenant.oldest_revision, [row.revision for row in revisions]


async def test_changes_older_than_the_retention_are_removed_in_steps(
    kept_for_a_day: SqliteStore, clock: Clock
) -> None:
    store = kept_for_a_day
    principal = m.Principal(await store.ensure_tenant("test"), "key")
    for _ in range(2):
        writes = [m.DocumentWrite("text", containers=("a", "b", "c")) for _ in range(400)]
        await store.documents.batch_upsert(principal, writes, None)
    await store.trim_changes()
    assert _state(store) == (800, 1, list(range(1, 801)))
    clock.advance(DAY / 2)
    await store.documents.upsert(principal, m.DocumentWrite("later"), None)
    clock.advance(DAY / 2 + 60)
    await store.trim_changes()
    assert _state(store) == (801, 801, [801])
    assert SqliteAdministration(store.path).check(lambda _: None) == []
    clock.advance(DAY)
    await store.trim_changes()
    assert _state(store) == (801, 802, [])
    assert SqliteAdministration(store.path).check(lambda _: None) == []
    await store.documents.upsert(principal, m.DocumentWrite("again"), None)
    assert _state(store) == (802, 802, [802])
    assert SqliteAdministration(store.path).check(lambda _: None) == []


async def test_a_reader_is_told_what_is_no_longer_kept(
    kept_for_a_day: SqliteStore, clock: Clock
) -> None:
    store = kept_for_a_day
    principal = m.Principal(await store.ensure_tenant("test"), "key")
    for _ in range(3):
        await store.documents.upsert(principal, m.DocumentWrite("text"), None)
    clock.advance(DAY + 60)
    await store.documents.upsert(principal, m.DocumentWrite("later"), None)
    await store.trim_changes()
    for after in (0, 2):
        with pytest.raises(PalimpsestError) as gone:
            await store.changes.list(principal, m.ChangeQuery(after))
        assert gone.value.reason is Reason.REVISION_GONE
        assert gone.value.metadata == {"oldest_revision": "4"}
    page = await store.changes.list(principal, m.ChangeQuery(3))
    assert [change.revision for change in page.changes] == [4]
    assert (page.revision, page.latest, page.oldest) == (4, 4, 4)


async def test_one_step_removes_whole_revisions(kept_for_a_day: SqliteStore, clock: Clock) -> None:
    store = kept_for_a_day
    principal = m.Principal(await store.ensure_tenant("test"), "key")
    writes = [m.DocumentWrite("text", containers=("a", "b", "c")) for _ in range(400)]
    await store.documents.batch_upsert(principal, writes, None)
    before = store.now() + 1
    with open_sync(store.path) as conn:
        assert transact(conn, lambda conn: change_log.trim(conn, principal.tenant, before))
    revision, oldest, kept = _state(store)
    assert (oldest, kept) == (kept[0], list(range(oldest, revision + 1)))
    assert 0 < oldest - 1 <= change_log.STEP
    assert SqliteAdministration(store.path).check(lambda _: None) == []


async def test_an_index_that_missed_removed_changes_is_read_again(
    kept_for_a_day: SqliteStore, clock: Clock
) -> None:
    store = kept_for_a_day
    principal = m.Principal(await store.ensure_tenant("test"), "key")
    made = await store.memories.create(principal, m.MemoryCreate("a", (m.NewMemory("one"),)), None)
    known = (await store.index.block(principal.tenant, "a", BlockCursor(), SPACE)).revision
    gone = await store.memories.create(principal, m.MemoryCreate("a", (m.NewMemory("two"),)), None)
    await store.memories.delete(principal, m.MemoryDelete("a", made.receipts[0].id), None)
    latest = (await store.index.delta(principal.tenant, "a", known, SPACE)).revision
    clock.advance(2 * DAY)
    await store.trim_changes()
    assert await store.index.unchanged(principal.tenant, {"a": known}) == {}
    for stepwise in (False, True):
        delta = await store.index.delta(principal.tenant, "a", known, SPACE, stepwise=stepwise)
        assert delta.entities is None
    block = await store.index.block(principal.tenant, "a", BlockCursor(), SPACE)
    assert [row.id for row in block.memories] == [gone.receipts[0].id]
    assert await store.index.unchanged(principal.tenant, {"a": latest}) == {"a": latest}


async def test_without_a_retention_every_change_is_kept(
    store: SqliteStore, principal: m.Principal, clock: Clock
) -> None:
    await store.documents.upsert(principal, m.DocumentWrite("text"), None)
    clock.advance(10_000 * DAY)
    await store.trim_changes()
    assert _state(store) == (1, 1, [1])


def _upgraded_to(conn: Connection, revision: str) -> None:
    conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


async def test_an_older_database_loses_the_tags_of_what_it_deleted(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "old.db"
    receipt = json.dumps({"MemoriesReceipt": [[{"MemoryReceipt": ["mem_1", TAG, 1, None]}], 3]})
    with open_sync(path) as conn:
        transact(conn, lambda conn: _upgraded_to(conn, "0002"))
        for sql in (
            f"INSERT INTO tenants VALUES (1, 'test', 4, {START}, {START})",
            *(
                f"INSERT INTO changes VALUES "
                f"(1, {n}, '{tag}', '{kind}', '{name}', {START}, '', NULL)"
                for n, tag, kind, name in (
                    (1, TAG, "memory.created", "mem_1"),
                    (2, TAG, "memory.deleted", "mem_1"),
                    (3, TAG, "container.deleted", TAG),
                    (4, "kept", "memory.created", "mem_2"),
                )
            ),
            f"INSERT INTO requests VALUES (1, 'r', x'', '{receipt}', 1, {START})",
        ):
            conn.execute(text(f"/* old */ {sql}"))
    store = await open_store(path, StoreOptions(sweep_interval=3600), WallClock(clock))
    try:
        await store.redact()
        assert tables_with(path, TAG) == []
        assert tables_with(path, "mem_1") == ["changes", "requests"]
        assert _state(store) == (4, 1, [1, 2, 3, 4])
    finally:
        await store.close()

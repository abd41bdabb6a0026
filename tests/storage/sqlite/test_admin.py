"""Keys, check and backup, on files with a store at work on them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.storage.checks import INVARIANTS
from service.storage.sqlite import admin
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.store import SqliteStore, open_store


async def _fill(store: SqliteStore, principal: m.Principal) -> None:
    await store.documents.batch_upsert(
        principal, [m.DocumentWrite(f"text {i}", f"c{i}", ("a", "b")) for i in range(5)], None
    )
    made = await store.memories.create(
        principal,
        m.MemoryCreate("a", tuple(m.NewMemory(f"m{i}", source_document_id="c1") for i in range(4))),
        None,
    )
    first, second, third, _ = made.receipts
    await store.memories.update(
        principal, m.MemoryUpdate(m.MemoryTarget("a", first.id), "m0 again"), None
    )
    for receipt in (second, third):
        await store.memories.forget(
            principal, m.MemoryForget(m.MemoryTarget("a", receipt.id)), None
        )
    await store.memories.restore(principal, m.MemoryRestore("a", second.id), None)


MEANT = "/* break */ "
"""Keeps these statements out of what is judged by its query plan."""

BREAKS = {
    "document without content": "DELETE FROM document_contents WHERE document_id = {doc}",
    "content without document": "UPDATE document_contents SET document_id = 'x'"
    " WHERE document_id = {doc}",
    "membership without document": "UPDATE document_containers SET document_id = 'x'"
    " WHERE document_id = {doc} AND container = 'a'",
    "document in no container": "DELETE FROM document_containers WHERE document_id = {doc}",
    "membership at another revision than its document": "UPDATE document_containers"
    " SET revision = 99 WHERE document_id = {doc} AND container = 'a'",
    "document whose home is not the first of its containers": "UPDATE documents SET home = 'b'"
    " WHERE id = {doc}",
    "custom id missing in a container of its document": "DELETE FROM shared_custom_ids"
    " WHERE document_id = {doc}",
    "custom id in a container that its document is not in": "UPDATE shared_custom_ids"
    " SET container = 'x' WHERE document_id = {doc}",
    "membership in an unknown container": "DELETE FROM containers WHERE container = 'b'",
    "memory in an unknown container": "DELETE FROM containers WHERE container = 'a'",
    "job without document": "UPDATE jobs SET document_id = 'x' WHERE document_id = {doc}",
    "job of another revision than its document": "UPDATE jobs SET revision = 99"
    " WHERE document_id = {doc}",
    "unfinished document without a job": "DELETE FROM jobs WHERE document_id = {doc}",
    "document at work that no worker holds": "UPDATE documents SET status = 4 WHERE id = {doc}",
    "finished document with a job": "UPDATE documents SET status = 6 WHERE id = {doc}",
    "chunk without document": "INSERT INTO chunks VALUES"
    " (1, 'doc_x', 0, 'chk_x', x'', 0, 0, x'', x'', NULL, x'', x'', NULL, 0, x'', NULL)",
    "gap in the positions of a document's chunks": "INSERT INTO chunks VALUES"
    " (1, {doc}, 1, 'chk_x', x'', 0, 0, x'', x'', NULL, x'', x'', NULL, 0, x'', NULL)",
    "chunk id that is used twice": "INSERT INTO chunks VALUES"
    " (1, {doc}, 0, 'chk_x', x'', 0, 0, x'', x'', NULL, x'', x'', NULL, 0, x'', NULL),"
    " (1, {doc}, 1, 'chk_x', x'', 0, 0, x'', x'', NULL, x'', x'', NULL, 0, x'', NULL)",
    "vector of an unknown embedder, or of another length than its vectors": "UPDATE memories"
    " SET vector = x'00', embedder = 77 WHERE version = 2",
    "first version that is not its own root": "UPDATE memories SET parent_id = 'x'"
    " WHERE version = 1",
    "version whose parent is not the version before": "UPDATE memories SET parent_id = 'x'"
    " WHERE version = 2",
    "superseded version without a successor, or the reverse": "DELETE FROM memories"
    " WHERE version = 2",
    "version without exactly one current span": "UPDATE memory_spans SET state_until = shown_until"
    " WHERE end_kind = 2 AND state_until = 9223372036854775807",
    "span without its version": "UPDATE memory_spans SET root_id = 'x' WHERE end_kind = 1",
    "span that does not begin where the one before it ends": "UPDATE memory_spans"
    " SET state_until = state_until + 1 WHERE state_until <> 9223372036854775807",
    "span whose times are out of order": "UPDATE memory_spans SET shown_from = shown_until + 1"
    " WHERE end_kind = 1",
    "memory whose source document is gone": "UPDATE memories SET source_document_id = 'doc_x'"
    " WHERE version = 2",
    "wrong document count of a container": "UPDATE containers SET documents = 77"
    " WHERE container = 'a'",
    "wrong memory count of a container": "UPDATE containers SET memories = 77"
    " WHERE container = 'a'",
    "change beyond the tenant's revision": "UPDATE tenants SET revision = revision - 1",
    "gap in a tenant's revisions": "DELETE FROM changes WHERE revision = 2",
    "change before the oldest that is kept": "UPDATE tenants SET oldest_revision = 3",
    "changes whose times do not follow their revisions": "UPDATE changes SET time = time + 999999"
    " WHERE revision = 2",
    "row of an unknown tenant": "UPDATE containers SET tenant = 77 WHERE container = 'a'",
}


def _remove(database: Path) -> None:
    for file in database.parent.glob(database.name + "*"):
        file.unlink()


async def test_check_finds_nothing_in_a_sound_database_and_every_fault_in_a_broken_one(
    store: SqliteStore, principal: m.Principal, tmp_path: Path
) -> None:
    await _fill(store, principal)
    document = await store.documents.get(principal, "c2")
    assert admin.check(store.path, lambda _: None) == []
    assert set(BREAKS) == set(INVARIANTS)
    sound = tmp_path / "sound.db"
    admin.backup(store.path, sound, lambda done, total: None)
    for name, sql in BREAKS.items():
        broken = tmp_path / "broken.db"
        shutil.copy(sound, broken)
        with open_sync(broken) as conn:
            conn.execute(text(MEANT + sql.format(doc=f"'{document.id}'")))
        findings = admin.check(broken, lambda _: None)
        assert any(finding.startswith(f"{name}: ") for finding in findings), (name, findings)
        _remove(broken)


async def test_backup_is_consistent_while_writes_go_on(
    store: SqliteStore, principal: m.Principal, tmp_path: Path
) -> None:
    await _fill(store, principal)
    stop = asyncio.Event()

    async def write() -> int:
        count = 0
        while not stop.is_set():
            await store.documents.upsert(principal, m.DocumentWrite("y" * 4000, f"w{count}"), None)
            count += 1
        return count

    writers = [asyncio.create_task(write()) for _ in range(4)]
    target = tmp_path / "copy.db"
    steps: list[tuple[int, int]] = []
    await asyncio.to_thread(
        admin.backup, store.path, target, lambda done, total: steps.append((done, total))
    )
    stop.set()
    assert sum(await asyncio.gather(*writers)) > 0
    assert steps[-1][0] == steps[-1][1]
    assert admin.check(target, lambda _: None) == []
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        admin.backup(store.path, target, lambda done, total: None)
    restored = await open_store(target)
    assert (await restored.documents.get(principal, "c3")).content == "text 3"
    await restored.close()


async def test_the_gated_checkpoint_empties_the_log_under_load(
    store: SqliteStore, principal: m.Principal
) -> None:
    stop = asyncio.Event()

    async def read() -> None:
        while not stop.is_set():
            await store.documents.list(principal, m.DocumentQuery(), m.PageRequest(50))

    await _fill(store, principal)
    readers = [asyncio.create_task(read()) for _ in range(8)]
    try:
        assert await store.engine.database.checkpoint()
    finally:
        stop.set()
        await asyncio.gather(*readers)
    assert store.path.with_name(store.path.name + "-wal").stat().st_size == 0


async def test_keys_are_stored_hashed_and_revoking_works_at_once(store: SqliteStore) -> None:
    info, secret = admin.create_key(
        store.path, tenant="acme", label="ci", containers=["a"], read_only=True, expires_at=None
    )
    principal = await store.keys.authenticate(secret)
    assert (principal.key_id, principal.read_only) == (info.key_id, True)
    assert principal.containers == frozenset({"a"})
    assert [key.key_id for key in admin.list_keys(store.path)] == [info.key_id]
    files = [file.read_bytes() for file in store.path.parent.iterdir()]
    assert not any(secret.encode() in data for data in files)
    assert admin.revoke_key(store.path, info.key_id)
    with pytest.raises(PalimpsestError) as caught:
        await store.keys.authenticate(secret)
    assert caught.value.reason is Reason.KEY_INVALID
    assert not admin.revoke_key(store.path, info.key_id)


async def test_an_expired_key_is_refused_like_an_unknown_one(store: SqliteStore) -> None:
    _, secret = admin.create_key(
        store.path,
        tenant="acme",
        label="short",
        containers=[],
        read_only=False,
        expires_at=store.now() - 1,
    )
    errors = []
    for token in (secret, secret[:-1] + ("0" if secret[-1] != "0" else "1"), "pal_x", ""):
        with pytest.raises(PalimpsestError) as caught:
            await store.keys.authenticate(token)
        errors.append((caught.value.reason, caught.value.message))
    assert len(set(errors)) == 1


async def test_a_first_key_is_made_once(store: SqliteStore) -> None:
    assert await store.ensure_first_key() is not None
    assert await store.ensure_first_key() is None


async def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path) -> None:
    admin.migrate(tmp_path / "a.db")
    with open_sync(tmp_path / "a.db") as conn:

        def fail(conn: Connection) -> None:
            conn.execute(text("DELETE FROM secrets"))
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            transact(conn, fail)
        assert conn.execute(text("SELECT count(*) FROM secrets")).scalar() == 1

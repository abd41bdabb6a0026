"""Keys, check and backup, on files with a store at work on them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.storage.sqlite import backups
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync, transact
from service.storage.sqlite.store import SqliteStore, open_store
from tests.storage.exercise import fill


async def test_backup_is_consistent_while_writes_go_on(
    store: SqliteStore, principal: m.Principal, tmp_path: Path
) -> None:
    await fill(store, principal)
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
        backups.backup, store.path, target, lambda done, total: steps.append((done, total))
    )
    stop.set()
    assert sum(await asyncio.gather(*writers)) > 0
    assert steps[-1][0] == steps[-1][1]
    assert SqliteAdministration(target).check(lambda _: None) == []
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        backups.backup(store.path, target, lambda done, total: None)
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

    await fill(store, principal)
    readers = [asyncio.create_task(read()) for _ in range(8)]
    try:
        assert await store.engine.database.checkpoint()
    finally:
        stop.set()
        await asyncio.gather(*readers)
    assert store.path.with_name(store.path.name + "-wal").stat().st_size == 0


async def test_keys_are_stored_hashed_and_revoking_works_at_once(store: SqliteStore) -> None:
    info, secret = SqliteAdministration(store.path).create_key(
        tenant="acme", label="ci", containers=["a"], read_only=True, expires_at=None
    )
    principal = await store.keys.authenticate(secret)
    assert (principal.key_id, principal.read_only) == (info.key_id, True)
    assert principal.containers == frozenset({"a"})
    assert [key.key_id for key in SqliteAdministration(store.path).list_keys()] == [info.key_id]
    files = [file.read_bytes() for file in store.path.parent.iterdir()]
    assert not any(secret.encode() in data for data in files)
    assert SqliteAdministration(store.path).revoke_key(info.key_id)
    with pytest.raises(PalimpsestError) as caught:
        await store.keys.authenticate(secret)
    assert caught.value.reason is Reason.KEY_INVALID
    assert not SqliteAdministration(store.path).revoke_key(info.key_id)


async def test_an_expired_key_is_refused_like_an_unknown_one(store: SqliteStore) -> None:
    _, secret = SqliteAdministration(store.path).create_key(
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
    SqliteAdministration(tmp_path / "a.db").migrate()
    with open_sync(tmp_path / "a.db") as conn:

        def fail(conn: Connection) -> None:
            conn.execute(text("DELETE FROM secrets"))
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            transact(conn, fail)
        assert conn.execute(text("SELECT count(*) FROM secrets")).scalar() == 1

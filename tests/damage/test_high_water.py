"""Changes that were acknowledged and are missing: told by `check`, and not built upon."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from click.testing import CliRunner
from sqlalchemy import text

from palimpsest.v1.documents_pb2 import UpsertDocumentRequest
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from service import cli
from service.core import model as m
from service.storage.backend import KEYS
from service.storage.sqlite import backups
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync
from service.storage.sqlite.high_water import DatabaseBehindError, mark_path, read_mark
from service.storage.sqlite.opening import opened
from service.storage.sqlite.store import SqliteStore, StoreOptions, open_store
from tests.damage.planting import check, flip
from tests.harness import first_key, run_cli, start_server

ACKNOWLEDGED = 40


async def written_by(store: SqliteStore, count: int, prefix: str = "w") -> m.Principal:
    secret = await store.ensure_first_key()
    if secret is None:
        _, secret = SqliteAdministration(store.path).create_key(
            tenant="default", label="", containers=(), read_only=False, expires_at=None
        )
    principal = await store.keys.authenticate(secret)
    for number in range(count):
        await store.documents.upsert(principal, m.DocumentWrite("text", f"{prefix}{number}"), None)
    return principal


def log_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def copied(database: Path, folder: Path) -> Path:
    """The files of a database as they lie there, which a kill leaves."""
    folder.mkdir()
    for file in database.parent.glob(database.name + "*"):
        shutil.copy(file, folder)
    return folder / database.name


Open = Callable[[Path], Awaitable[SqliteStore]]


@pytest_asyncio.fixture
async def open_at() -> AsyncIterator[Open]:
    """Opens stores, which are closed at the end if the test did not."""
    stores: list[SqliteStore] = []

    async def open_one(path: Path) -> SqliteStore:
        stores.append(await open_store(path, StoreOptions(sweep_interval=3600)))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "palimpsest.db"


async def test_the_mark_stands_where_the_answers_stood_after_a_kill(
    open_at: Open, path: Path, tmp_path: Path
) -> None:
    store = await open_at(path)
    principal = await written_by(store, ACKNOWLEDGED)
    killed = copied(path, tmp_path / "killed")
    mark = read_mark(killed)
    assert mark is not None
    assert mark.revisions == {KEYS: 1, principal.tenant: ACKNOWLEDGED}
    assert check(killed) == []
    await store.close()
    assert check(path) == []


async def test_a_removed_log_is_told_with_how_much_it_held(
    open_at: Open, path: Path, tmp_path: Path
) -> None:
    store = await open_at(path)
    await written_by(store, 10)
    assert await store.engine.database.checkpoint()
    await written_by(store, ACKNOWLEDGED - 10, "later")
    killed = copied(path, tmp_path / "killed")
    await store.close()
    log_of(killed).unlink()
    killed.with_name(killed.name + "-shm").unlink()
    findings = check(killed)
    assert any(
        f"{ACKNOWLEDGED - 10} changes of tenant default are missing" in finding
        and f"at revision 10, {ACKNOWLEDGED} was acknowledged" in finding
        for finding in findings
    ), findings
    assert any("1 creations or revocations of keys are missing" in f for f in findings)
    before = killed.read_bytes()
    with pytest.raises(DatabaseBehindError, match=r"remove palimpsest\.db\.mark"):
        await open_at(killed)
    with pytest.raises(DatabaseBehindError):
        SqliteAdministration(killed).list_keys()
    assert killed.read_bytes() == before


async def test_a_log_that_is_damaged_or_cut_is_told(
    open_at: Open, path: Path, tmp_path: Path
) -> None:
    store = await open_at(path)
    await written_by(store, ACKNOWLEDGED)
    for number in range(2):
        killed = copied(path, tmp_path / f"killed{number}")
        killed.with_name(killed.name + "-shm").unlink()
        log = log_of(killed)
        if number:
            os.truncate(log, log.stat().st_size // 2)
        else:
            flip(log, log.stat().st_size // 2)
        assert any("changes of tenant default are missing" in one for one in check(killed))
    await store.close()


async def test_an_older_copy_in_its_place_is_told_and_accepted_when_the_mark_goes(
    open_at: Open, path: Path, tmp_path: Path
) -> None:
    store = await open_at(path)
    await written_by(store, 5)
    saved = tmp_path / "saved"
    backups.backup(path, saved, lambda *_: None)
    await written_by(store, ACKNOWLEDGED, "later")
    await store.close()
    shutil.copy(saved, path)
    assert any("are missing" in finding for finding in check(path))
    with pytest.raises(DatabaseBehindError, match="on purpose"):
        await open_at(path)
    mark_path(path).unlink()
    again = await open_at(path)
    await written_by(again, 1, "again")
    await again.close()
    assert check(path) == []


async def test_the_way_of_the_manual_to_restore_needs_nothing_more(
    open_at: Open, path: Path, tmp_path: Path
) -> None:
    store = await open_at(path)
    await written_by(store, 5)
    saved = tmp_path / "saved"
    backups.backup(path, saved, lambda *_: None)
    await written_by(store, ACKNOWLEDGED, "later")
    await store.close()
    away = tmp_path / "away"
    away.mkdir()
    for file in path.parent.glob(path.name + "*"):
        file.rename(away / file.name)
    shutil.copy(saved, path)
    restored = await open_at(path)
    await written_by(restored, 1, "again")
    await restored.close()
    assert check(path) == []


async def test_a_commit_whose_mark_was_not_written_is_no_finding(open_at: Open, path: Path) -> None:
    store = await open_at(path)
    principal = await written_by(store, 3)
    behind = mark_path(path).read_bytes()
    await written_by(store, 3, "later")
    await store.close()
    mark_path(path).write_bytes(behind)
    assert check(path) == []
    await (await open_at(path)).close()
    mark = read_mark(path)
    assert mark is not None
    assert mark.revisions[principal.tenant] == 6


async def test_two_servers_on_one_database_share_the_mark(
    open_at: Open, path: Path, tmp_path: Path
) -> None:
    first = await open_at(path)
    second = await open_at(path)
    await written_by(first, 1)
    await asyncio.gather(written_by(first, 20, "a"), written_by(second, 20, "b"))
    principal = await written_by(second, 1, "c")
    mark = read_mark(copied(path, tmp_path / "killed"))
    assert mark is not None
    assert mark.revisions[principal.tenant] == 42
    await first.close()
    await second.close()
    assert check(path) == []


async def test_a_check_beside_a_writing_server_sees_nothing_missing(
    open_at: Open, path: Path
) -> None:
    store = await open_at(path)
    await written_by(store, 1)
    writing = asyncio.create_task(written_by(store, 300, "more"))
    while not writing.done():
        assert await asyncio.to_thread(check, path) == []
    await writing
    await store.close()


def test_a_revocation_that_is_gone_is_told(path: Path, tmp_path: Path) -> None:
    info, _ = SqliteAdministration(path).create_key(
        tenant="default", label="", containers=(), read_only=False, expires_at=None
    )
    older = tmp_path / "older"
    backups.backup(path, older, lambda *_: None)
    assert SqliteAdministration(path).revoke_key(info.key_id)
    shutil.copy(older, path)
    assert check(path) == ["acknowledged: 1 creations or revocations of keys are missing"]


def test_a_damaged_mark_is_a_finding_and_no_crash(path: Path) -> None:
    SqliteAdministration(path).create_key(
        tenant="default", label="", containers=(), read_only=False, expires_at=None
    )
    mark = mark_path(path)
    sound = mark.read_bytes()
    for place in range(len(sound)):
        mark.write_bytes(sound)
        flip(mark, place)
        padding = 24 <= place < 32 or place >= len(sound) - 4
        assert bool(check(path)) is not padding, place
    mark.write_bytes(sound[:10])
    assert "cannot be read" in check(path)[0]
    mark.write_bytes(bytes(len(sound)))
    assert check(path) == []


def test_without_a_mark_nothing_is_found_and_that_is_said(path: Path) -> None:
    SqliteAdministration(path).migrate()
    mark_path(path).unlink()
    told: list[str] = []
    assert SqliteAdministration(path).check(told.append) == []
    assert "cannot be told" in told[0]


def test_a_disk_that_takes_no_mark_fails_no_commit(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    SqliteAdministration(path).migrate()
    with opened(path) as database:
        os.close(database.mark._descriptor)
        database.mark._descriptor = os.open(mark_path(path), os.O_RDONLY)
        database.mark.advance({1: 5})
        database.mark.advance({1: 6})
        database.mark.close()
    assert [record.message for record in caplog.records if "mark" in record.message] == [
        "the high-water mark cannot be written: Bad file descriptor"
    ]


def test_a_killed_server_whose_log_was_removed_is_not_served_again(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    key = (("authorization", f"Bearer {server.key}"),)
    with grpc.insecure_channel(server.address) as channel:
        documents = DocumentsStub(channel)
        for number in range(24):
            documents.UpsertDocument(UpsertDocumentRequest(content=f"{number}"), metadata=key)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    for file in (tmp_path / "data").glob("palimpsest.db-*"):
        file.unlink()
    done = run_cli(tmp_path / "data", "check")
    assert done.returncode == cli.FINDINGS
    key_before = first_key(tmp_path / "data")
    again = run_cli(tmp_path / "data", "serve", "--listen", "127.0.0.1:0")
    assert again.returncode == 1
    assert "Traceback" not in again.stderr
    assert "mark" in again.stderr or "missing" in again.stderr
    assert first_key(tmp_path / "data") == key_before


def test_a_higher_record_is_never_lowered(path: Path) -> None:
    SqliteAdministration(path).migrate()
    with opened(path) as database:
        database.mark.advance({1: 5})
        database.mark.advance({1: 3, 2: 9})
        database.mark.close()
    mark = read_mark(path)
    assert mark is not None
    assert (mark.revisions[1], mark.revisions[2]) == (5, 9)


def test_the_check_of_a_lost_tenant_names_its_number(path: Path) -> None:
    SqliteAdministration(path).create_key(
        tenant="default", label="", containers=(), read_only=False, expires_at=None
    )
    with opened(path) as database:
        database.mark.advance({7: 3})
        database.mark.close()
    [finding] = check(path)
    assert "tenant number 7, which is not there" in finding
    done = CliRunner().invoke(cli.main, ["keys", "list", "--data-dir", str(path.parent)])
    assert done.exit_code == 1
    with open_sync(path) as conn:
        assert conn.execute(text("SELECT count(*) FROM tenants")).scalar() == 1

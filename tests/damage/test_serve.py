"""`serve` and the other commands make no database where one has been."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from service import cli
from service.app import running
from service.settings import Settings
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync
from service.storage.sqlite.errors import explain
from service.storage.sqlite.high_water import mark_path
from service.storage.sqlite.presence import DatabaseLostError, ForeignDatabaseError
from tests.damage.planting import PAGE, check, truncate, zero


def settings_of(data: Path) -> Settings:
    return Settings(
        data_dir=data, listen=f"unix:{data.parent / 'socket'}", workers=0, compute_processes=0
    )


def served(data: Path) -> str | None:
    """The first key of a service that was started and stopped."""

    async def serve() -> str | None:
        async with running(settings_of(data)) as service:
            return service.first_key

    return asyncio.run(serve())


def refused(data: Path) -> str:
    """What the operator hears of a service that does not start."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        served(data)
    told = explain(caught.value) or (
        str(caught.value) if isinstance(caught.value, OSError) else None
    )
    assert told is not None, caught.value
    return told


def _emptied(database: Path) -> None:
    truncate(database, 0)


def _removed(database: Path) -> None:
    database.unlink()


def _only_the_first_page(database: Path) -> None:
    """As a database lies there that was killed before its first checkpoint, less its log."""
    database.unlink(missing_ok=True)
    with open_sync(database):
        pass


LOSSES = (_emptied, _removed, _only_the_first_page)


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("left", ["palimpsest.db.mark", "palimpsest.db.keys", "first-key"])
def test_no_database_is_made_where_any_trace_of_one_is_left(
    data: Path, database: Path, lose: Callable[[Path], None], left: str
) -> None:
    lose(database)
    (data / "first-key").write_text("the key of before\n")
    for file in data.iterdir():
        if file not in (database, data / left):
            file.unlink()
    before = {file.name: file.read_bytes() for file in data.iterdir()}
    told = refused(data)
    assert left in told
    assert "backup" in told
    assert {file.name: file.read_bytes() for file in data.iterdir()} == before
    with pytest.raises(DatabaseLostError):
        SqliteAdministration(database).migrate()
    with pytest.raises(DatabaseLostError):
        SqliteAdministration(database).create_key(
            tenant="a", label="", containers=(), read_only=False, expires_at=None
        )


def test_a_log_beside_no_database_is_a_trace(data: Path, database: Path) -> None:
    for file in data.iterdir():
        file.unlink()
    database.with_name("palimpsest.db-wal").write_bytes(bytes(PAGE))
    assert "palimpsest.db-wal" in refused(data)


def test_an_empty_file_without_traces_is_a_first_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "palimpsest.db").touch()
    key = served(data)
    assert key is not None
    assert (data / "first-key").read_text() == key + "\n"


def test_a_first_start_that_was_killed_while_it_committed_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    _only_the_first_page(data / "palimpsest.db")
    (data / "palimpsest.db-wal").write_bytes(bytes(3 * PAGE))
    assert served(data) is not None


def test_a_folder_whose_files_were_moved_out_begins_anew(
    data: Path, database: Path, tmp_path: Path
) -> None:
    (tmp_path / "away").mkdir()
    for file in list(data.iterdir()):
        file.rename(tmp_path / "away" / file.name)
    assert served(data) is not None


def test_a_first_key_of_another_database_is_never_overwritten(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    SqliteAdministration(data / "palimpsest.db").migrate()
    (data / "first-key").write_text("another\n")
    assert "first-key" in refused(data)
    assert (data / "first-key").read_text() == "another\n"
    (data / "first-key").unlink()
    assert served(data) is not None


@pytest.mark.parametrize("size", [0.001, 0.3])
def test_a_truncated_database_is_refused(data: Path, database: Path, size: float) -> None:
    truncate(database, int(database.stat().st_size * size))
    before = database.read_bytes()
    told = refused(data)
    assert "palimpsest check" in told
    assert "malformed" not in told
    assert database.read_bytes() == before


def test_a_database_whose_first_page_is_gone_is_refused(data: Path, database: Path) -> None:
    zero(database, 1)
    assert "palimpsest check" in refused(data)


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with open_sync(data / "palimpsest.db") as conn:
        conn.exec_driver_sql("CREATE TABLE recipes (name TEXT)")
    assert "another program" in refused(data)
    with pytest.raises(ForeignDatabaseError):
        SqliteAdministration(data / "palimpsest.db").migrate()
    with open_sync(data / "palimpsest.db") as conn:
        tables = conn.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
    assert tables == ["recipes"]
    [finding] = check(data / "palimpsest.db")
    assert "no database of Palimpsest" in finding


@pytest.mark.parametrize(
    "command", [("backup", "copy"), ("scrub",), ("keys", "list"), ("migrate",), ("serve",)]
)
def test_every_command_says_that_a_database_is_missing(
    data: Path, database: Path, command: tuple[str, ...]
) -> None:
    database.unlink()
    done = CliRunner().invoke(cli.main, [*command, "--data-dir", str(data)])
    assert done.exit_code == 1
    assert "is missing, but a database has been here" in done.output
    assert not database.exists()


def test_the_mark_is_for_its_owner_alone(database: Path) -> None:
    assert mark_path(database).stat().st_mode & 0o077 == 0

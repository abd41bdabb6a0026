"""Backups of damaged databases, backups that are killed, and what stands in their way."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service import cli
from service.storage.administration import DamagedSourceError
from service.storage.sqlite import backups
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.backups import partial_path
from service.storage.sqlite.high_water import mark_path
from service.storage.sqlite.opening import opened
from service.storage.sqlite.presence import DatabaseLostError
from tests.damage.conftest import TEXTS
from tests.damage.planting import age, check, flip, places, root_page, truncate, zero
from tests.harness import REPOSITORY, environment


def backup(database: Path, target: Path) -> None:
    backups.backup(database, target, lambda *_: None)


def run_backup(data: Path, target: Path) -> Result:
    return CliRunner().invoke(cli.main, ["backup", "--data-dir", str(data), str(target)])


def _flipped_text(database: Path) -> None:
    flip(database, places(database, TEXTS["content of a document"].encode())[0])


def _flipped_metadata(database: Path) -> None:
    flip(database, places(database, TEXTS["metadata of a memory"].encode())[0])


def _flipped_index(database: Path) -> None:
    flip(database, (root_page(database, "ix_documents_tenant_revision") - 1) * 4096 + 3, 4)


def _zeroed_page(database: Path) -> None:
    zero(database, root_page(database, "memories"))


def _truncated(database: Path) -> None:
    truncate(database, database.stat().st_size // 2)


def _no_database(database: Path) -> None:
    database.write_bytes(b"no database at all " * 400)


def _behind(database: Path) -> None:
    with opened(database) as conn:
        conn.mark.advance({1: 100_000})
        conn.mark.close()


DAMAGES: tuple[Callable[[Path], None], ...] = (
    _flipped_text,
    _flipped_metadata,
    _flipped_index,
    _zeroed_page,
    _truncated,
    _no_database,
    _behind,
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_not_copied_in_silence(
    data: Path, database: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(database)
    folder = tmp_path / "backups"
    folder.mkdir()
    done = run_backup(data, folder / "copy")
    assert done.exit_code == cli.FINDINGS, done.output
    assert done.stdout.strip()
    assert "was not written" in done.output
    assert "malformed" not in done.output
    assert list(folder.iterdir()) == []


def test_a_backup_of_a_sound_database_is_the_same_and_alone(
    data: Path, database: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    assert run_backup(data, folder / "palimpsest.db").exit_code == 0
    assert [file.name for file in folder.iterdir()] == ["palimpsest.db"]
    assert (folder / "palimpsest.db").stat().st_mode & 0o077 == 0
    assert check(folder / "palimpsest.db") == []
    assert [file.name for file in folder.iterdir()] == ["palimpsest.db"]


def test_an_emptied_or_missing_database_has_no_backup(database: Path, tmp_path: Path) -> None:
    truncate(database, 0)
    with pytest.raises(DatabaseLostError, match="is empty"):
        backup(database, tmp_path / "copy")
    database.unlink()
    with pytest.raises(DatabaseLostError, match="is missing"):
        backup(database, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_an_older_schema_is_backed_up_before_it_is_migrated(database: Path, tmp_path: Path) -> None:
    age(database)
    backup(database, tmp_path / "copy.db")
    assert SqliteAdministration(tmp_path / "copy.db").migrate()[0] == "0003"
    assert check(tmp_path / "copy.db") == []


def test_a_killed_backup_leaves_nothing_under_its_name(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from service.storage.sqlite import backups\n"
        "backups._PAGES_AT_ONCE = 8\n"
        "die = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done > 16 else None\n"
        "backups.backup(Path(sys.argv[1]), Path(sys.argv[2]), die)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(database), str(target)],
        cwd=REPOSITORY,
        env=environment(),
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    assert partial_path(target).exists()
    backup(database, target)
    assert not partial_path(target).exists()
    assert check(target) == []


def test_what_a_backup_left_that_was_killed_at_its_end_is_not_emptied(
    database: Path, tmp_path: Path
) -> None:
    target, kept = tmp_path / "copy", tmp_path / "kept"
    backup(database, target)
    os.link(target, partial_path(target))
    target.rename(kept)
    backup(database, target)
    assert check(kept) == []
    assert not partial_path(target).exists()


def test_an_interrupted_backup_leaves_nothing(database: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        backups.backup(database, folder / "copy", stop)
    assert list(folder.iterdir()) == []


def test_a_file_that_comes_meanwhile_is_not_overwritten(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"

    def come(text: str) -> None:
        target.write_text("another's")

    with pytest.raises(FileExistsError):
        backups.backup(database, target, lambda *_: None, come)
    assert target.read_text() == "another's"
    assert not partial_path(target).exists()


def test_where_there_are_no_hard_links_the_copy_gets_its_name_too(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    backup(database, tmp_path / "copy")
    assert check(tmp_path / "copy") == []
    assert not partial_path(tmp_path / "copy").exists()


def test_two_backups_to_one_name_keep_apart(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with partial_path(target).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = run_backup(data, target)
        assert done.exit_code == 1
        assert "another backup" in done.output
        assert partial_path(target).exists()
    assert run_backup(data, target).exit_code == 0


def test_a_folder_that_is_not_there_is_told(data: Path, tmp_path: Path) -> None:
    done = run_backup(data, tmp_path / "no" / "copy")
    assert done.exit_code == 1
    assert "no/copy" in done.output


def test_damage_that_the_copy_alone_has_is_found(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that keeps something else than it was given."""
    copy = backups._copy

    def damaged(conn: object, partial: Path, progress: object) -> list[str]:
        found = copy(conn, partial, progress)  # type: ignore[arg-type]
        flip(partial, places(partial, TEXTS["title"].encode())[0])
        return found

    monkeypatch.setattr(backups, "_copy", damaged)
    with pytest.raises(DamagedSourceError) as caught:
        backup(database, tmp_path / "copy")
    assert "damaged document" in caught.value.findings[0]
    assert not (tmp_path / "copy").exists()


def test_a_backup_has_no_mark_of_its_own(database: Path, tmp_path: Path) -> None:
    backup(database, tmp_path / "copy")
    assert not mark_path(tmp_path / "copy").exists()

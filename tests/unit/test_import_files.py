"""Which files are imported, and what they are called."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client.importing.files import Found, Remark, custom_id, find

CONTAINERS = st.text("ab.:/@-", min_size=1, max_size=100)
NAMES = st.text("ab.:|/ 漢", min_size=1, max_size=150)


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text")
    return path


def names(found: Found) -> list[str]:
    return [source.name for source in found.sources]


def test_names_are_seen_from_the_base(tmp_path: Path) -> None:
    base = tmp_path / "base"
    write(base / "docs" / "deep" / "a.md")
    write(base / "b.txt")
    assert names(find([base], base)) == ["b.txt", "docs/deep/a.md"]
    assert names(find([base / "docs"], base)) == ["docs/deep/a.md"]


def test_names_beyond_the_base_begin_with_the_folder_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    write(tmp_path / "other" / "a.md")
    found = find([tmp_path / "other", tmp_path / "other" / "a.md"], tmp_path / "base")
    assert names(found) == ["other/a.md", "a.md"]


def test_two_files_of_one_name_clash(tmp_path: Path) -> None:
    first = write(tmp_path / "one" / "docs" / "a.md")
    second = write(tmp_path / "two" / "docs" / "a.md")
    (tmp_path / "base").mkdir()
    found = find([first.parent, first.parent, second.parent], tmp_path / "base")
    assert names(found) == ["docs/a.md"]
    assert found.failed == [Remark(str(second), f"has the same name as {first}")]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = find([tmp_path], tmp_path)
    assert names(found) == ["a.md"]
    assert found.left_out == [Remark(str(tmp_path / "loop"), "a link to a folder")]


def test_a_folder_that_cannot_be_read_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.md")
    write(tmp_path / "locked" / "b.md")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find([tmp_path], tmp_path)
    assert names(found) == ["a.md"]
    assert found.failed == [Remark(str(tmp_path / "locked"), "Permission denied")]


def test_a_file_that_is_named_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    named = write(tmp_path / "notes.mine")
    assert names(find([named], tmp_path)) == ["notes.mine"]
    found = find([tmp_path], tmp_path)
    assert found.left_out == [Remark("notes.mine", "of a kind that is not read")]


def test_a_folder_that_is_named_may_be_hidden(tmp_path: Path) -> None:
    write(tmp_path / ".notes" / "a.md")
    assert names(find([tmp_path / ".notes"], tmp_path)) == [".notes/a.md"]


@given(st.lists(st.tuples(CONTAINERS, NAMES), unique=True, max_size=20))
def test_custom_ids_are_short_and_differ(files: list[tuple[str, str]]) -> None:
    ids = [custom_id(container, name) for container, name in files]
    assert len(set(ids)) == len(files)
    assert all(1 <= len(made) <= 100 for made in ids)
    assert not any(made.startswith(("doc_", "mem_")) for made in ids)

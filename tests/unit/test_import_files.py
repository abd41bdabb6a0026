"""Which files are imported, and what they are called."""

from __future__ import annotations

import errno
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client.importing.files import Found, Remark, find
from service.client.importing.roots import custom_id

CONTAINERS = st.text("ab.:/@-", min_size=1, max_size=100)
NAMES = st.text("ab.:|/ 漢", min_size=1, max_size=150)


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text")
    return path


def names(found: Found) -> list[str]:
    return [source.name for source in found.sources]


def test_files_are_named_alike_from_wherever_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    write(base / "docs" / "deep" / "a.md")
    write(base / "docs" / "b.txt")
    expected = ["docs/b.txt", "docs/deep/a.md"]
    (tmp_path / "link").symlink_to(base / "docs")
    for place, path in {
        base: "docs",
        base / "docs": ".",
        base / "docs" / "deep": "..",
        tmp_path: "link",
    }.items():
        monkeypatch.chdir(place)
        assert names(find([Path(path)])) == expected
    assert names(find([base / "docs" / "b.txt"])) == ["docs/b.txt"]


def test_a_name_for_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "deep" / "a.md")
    write(tmp_path / "docs" / "b.txt")
    assert names(find([tmp_path / "docs"], "manual")) == ["manual/b.txt", "manual/deep/a.md"]


def test_files_are_found_once(tmp_path: Path) -> None:
    file = write(tmp_path / "docs" / "deep" / "a.md")
    found = find([tmp_path / "docs", file.parent, file])
    assert names(found) == ["docs/deep/a.md"]
    assert len(found.seen) == 2


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "one" / "docs" / "a.md")
    write(tmp_path / "two" / "docs" / "a.md")
    found = find([tmp_path / "one" / "docs", tmp_path / "two" / "docs"])
    assert names(found) == ["docs/a.md", "docs/a.md"]
    assert len({source.root.id for source in found.sources}) == 2


def test_composed_and_decomposed_names_are_one(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Café.md") for form in ("NFC", "NFD"))
    write(tmp_path / decomposed)
    assert names(find([tmp_path], "docs")) == [f"docs/{composed}"]
    write(tmp_path / composed)
    found = find([tmp_path], "docs")
    assert names(found) == [f"docs/{composed}"]
    reason = "another file has the same name, but for how it is encoded"
    assert found.failed == [Remark(f"docs/{composed}", reason)]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    (tmp_path / "loop").symlink_to(tmp_path)
    found = find([tmp_path], "docs")
    assert names(found) == ["docs/a.md"]
    assert found.left_out == [Remark("docs/loop", "a link to a folder")]


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
    found = find([tmp_path], "docs")
    assert names(found) == ["docs/a.md"]
    assert found.failed == [Remark("docs/locked", "Permission denied")]


def test_a_file_that_is_named_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    named = write(tmp_path / "notes.mine")
    assert names(find([named])) == [f"{tmp_path.name}/notes.mine"]
    found = find([tmp_path], "docs")
    assert found.left_out == [Remark("docs/notes.mine", "of a kind that is not read")]


def test_a_folder_that_is_named_may_be_hidden(tmp_path: Path) -> None:
    write(tmp_path / ".notes" / "a.md")
    assert names(find([tmp_path / ".notes"])) == [".notes/a.md"]


@given(st.lists(st.tuples(CONTAINERS, NAMES), unique=True, max_size=20))
def test_custom_ids_are_short_and_differ(files: list[tuple[str, str]]) -> None:
    ids = [custom_id(container, name) for container, name in files]
    assert len(set(ids)) == len(files)
    assert all(1 <= len(made) <= 100 for made in ids)
    assert not any(made.startswith(("doc_", "mem_")) for made in ids)

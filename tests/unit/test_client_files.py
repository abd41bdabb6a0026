"""Which files are imported, and what they are called."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from service.client.files import Found, custom_id, find

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
    assert found.clashes == [(str(second), str(first))]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "a.md")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert names(find([tmp_path], tmp_path)) == ["a.md"]


def test_a_folder_that_is_named_may_be_hidden(tmp_path: Path) -> None:
    write(tmp_path / ".notes" / "a.md")
    assert names(find([tmp_path / ".notes"], tmp_path)) == [".notes/a.md"]


@given(st.lists(st.tuples(CONTAINERS, NAMES), unique=True, max_size=20))
def test_custom_ids_are_short_and_differ(files: list[tuple[str, str]]) -> None:
    ids = [custom_id(container, name) for container, name in files]
    assert len(set(ids)) == len(files)
    assert all(1 <= len(made) <= 100 for made in ids)
    assert not any(made.startswith(("doc_", "mem_")) for made in ids)

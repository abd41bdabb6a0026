"""Which document of an earlier import a file belongs to, and which have lost their files."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from service.client.importing.files import find
from service.client.importing.imported import Imported
from service.client.importing.moved import require_unmoved
from service.client.importing.recognition import AmbiguousRootError, Recognition
from service.client.importing.roots import custom_id, root_of

NUMBERS = count()


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def document(name: str, root: str = "", text: str = "") -> Imported:
    made = f"doc_{next(NUMBERS)}"
    return Imported(made, custom_id("c", name), "c", digest(text or name), root, name, "", False)


class Importer:
    """Imports without a server: the documents are in a list, by custom id."""

    def __init__(self, documents: Sequence[Imported] = ()) -> None:
        self.documents = {made.custom_id: made for made in documents}
        self.gone: list[str] = []

    def run(self, *paths: Path, base: Path | None = None, name: str | None = None) -> list[str]:
        """The custom ids of the files, in order."""
        found = find(paths, name)
        recognition = Recognition("c", found, self.documents.values(), base or Path("/nowhere"))
        require_unmoved(found, recognition, lambda source: digest(source.path.read_text()))
        ids = []
        for source in found.sources:
            text = source.path.read_text()
            known = recognition.document_of(source, digest(text))
            made = known.custom_id if known else recognition.new_id(source)
            place = (source.root.id, source.name)
            if known and known.root and not source.root.named:
                place = (known.root, known.name)
            made_id = known.id if known else f"doc_{next(NUMBERS)}"
            self.documents[made] = Imported(made_id, made, "c", digest(text), *place, "", False)
            ids.append(made)
        self.gone = [made.custom_id for made in recognition.gone()]
        return ids


def write(*paths: Path) -> None:
    """Files with texts of their own, that tell where they were written first."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {path}")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "notes"
    write(folder / "a.md", folder / "deep" / "b.md", folder / "deep" / "c.md")
    return folder


def test_a_file_is_the_same_through_folders_above_and_below(notes: Path) -> None:
    for first in (notes, notes / "deep", notes / "deep" / "b.md", notes.parent):
        importer = Importer()
        importer.run(first)
        importer.run(notes.parent)
        ids = importer.documents.keys()
        assert len(ids) == 3
        for again in (notes, notes / "deep", notes / "deep" / "b.md", notes.parent):
            assert set(importer.run(again)) <= ids
            assert importer.gone == []


def test_what_is_no_longer_there(notes: Path) -> None:
    importer = Importer()
    importer.run(notes)
    (notes / "a.md").rename(notes / "z.md")
    (notes / "deep" / "c.md").unlink()
    importer.run(notes / "deep")
    assert importer.gone == []  # another root
    importer.run(notes / "z.md")
    assert importer.gone == []  # not a folder
    importer.run(notes)
    assert importer.gone == ["file:c|notes/a.md", "file:c|notes/deep/c.md"]


def test_a_file_that_is_there_but_not_imported_is_not_gone(notes: Path) -> None:
    importer = Importer()
    write(notes / ".hidden.md", notes / "photo.jpg", notes / ".git" / "x.md")
    importer.run(notes / ".hidden.md", notes / "photo.jpg")
    importer.documents |= {
        made.custom_id: made for made in [document("notes/.git/x.md", root_of(notes).id)]
    }
    importer.run(notes)
    assert importer.gone == []


def test_folders_of_one_name_keep_apart(tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "docs", tmp_path / "two" / "docs"
    write(one / "a.md", two / "a.md", two / "b.md")
    importer = Importer()
    ids = importer.run(one) + importer.run(two)
    assert len(set(ids)) == 3
    (two / "a.md").unlink()
    assert importer.run(one) == ids[:1]
    assert importer.gone == []
    assert importer.run(two) == ids[2:]
    assert importer.gone == ids[1:2]


def test_decomposed_names_of_the_same_file(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Café é.md") for form in ("NFC", "NFD")]
    importer = Importer()
    write(tmp_path / "docs" / names[0])
    ids = importer.run(tmp_path / "docs")
    (tmp_path / "docs" / names[0]).rename(tmp_path / "docs" / names[1])
    assert importer.run(tmp_path / "docs") == ids
    assert importer.gone == []


def test_a_folder_that_was_moved_or_renamed_is_asked_about(notes: Path, tmp_path: Path) -> None:
    importer = Importer()
    ids = importer.run(notes)
    for place in (tmp_path / "elsewhere" / "notes", tmp_path / "home" / "diary"):
        place.parent.mkdir(exist_ok=True)
        notes = notes.rename(place)
        with pytest.raises(AmbiguousRootError, match="add `--as notes` to go on"):
            importer.run(notes)
    (notes / "a.md").unlink()
    assert importer.run(notes, name="notes") == ids[1:]
    assert importer.gone == ids[:1]
    notes = notes.rename(tmp_path / "else")
    assert importer.run(notes, name="notes") == ids[1:]
    with pytest.raises(AmbiguousRootError):
        importer.run(notes)  # the name was forgotten


def test_a_copy_with_a_name_of_its_own_is_another_folder(notes: Path, tmp_path: Path) -> None:
    importer = Importer()
    ids = importer.run(notes)
    copy = tmp_path / "copy" / "notes"
    for path in sorted(notes.rglob("*.md")):
        write(copy / path.relative_to(notes))
        (copy / path.relative_to(notes)).write_text(path.read_text())
    with pytest.raises(AmbiguousRootError):
        importer.run(copy)
    assert set(importer.run(copy, name="mine")).isdisjoint(ids)
    assert importer.gone == []


def test_some_files_in_common_are_no_question(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        write(folder / "a.md", folder / "b.md", folder / "c.md")
        (folder / "LICENSE").write_text("the same")
    importer = Importer()
    ids = importer.run(one) + importer.run(two) + importer.run(two / "LICENSE")
    assert len(set(ids)) == 8


def test_a_name_that_stands_for_several_folders(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name / "docs" for name in ("one", "two", "three"))
    write(one / "a.md", two / "b.md", three / "c.md")
    importer = Importer()
    importer.run(one, two)
    with pytest.raises(AmbiguousRootError, match="2 folders named docs"):
        importer.run(three, name="docs")
    # Of these, it is known which one is meant.
    assert importer.run(one, name="docs") == ["file:c|docs/a.md"]
    assert importer.gone == []


@pytest.mark.parametrize("changed", [False, True])
def test_documents_of_earlier_releases_from_the_same_working_folder(
    notes: Path, changed: bool
) -> None:
    """These named files by their paths from there or, beyond it, from above what was given."""
    for base, given, prefix in [
        (notes, notes, ""),
        (notes.parent, notes, "notes/"),
        (notes / "deep", notes, "notes/"),
        (notes.parent.parent, notes / "deep", "home/notes/deep/"),
    ]:
        earlier = [
            document(
                f"{prefix}{path.relative_to(given).as_posix()}",
                text="before" if changed else path.read_text(),
            )
            for path in sorted(given.rglob("*.md"))
        ]
        importer = Importer(earlier)
        ids = importer.run(given, base=base)
        assert sorted(ids) == sorted(made.custom_id for made in earlier)
        assert importer.run(given) == ids
        assert all(made.root for made in importer.documents.values())
        assert importer.gone == []


def test_documents_of_earlier_releases_from_another_working_folder(notes: Path) -> None:
    earlier = [
        document("deep/b.md", text=(notes / "deep" / "b.md").read_text()),
        document("a.md", text="of another folder"),
    ]
    importer = Importer(earlier)
    assert importer.run(notes) == [
        "file:c|notes/a.md",
        "file:c|deep/b.md",
        "file:c|notes/deep/c.md",
    ]
    assert importer.documents["file:c|a.md"] == earlier[1]
    assert importer.gone == []


def test_an_earlier_document_with_the_id_of_a_new_one_is_that_one(notes: Path) -> None:
    importer = Importer([document("notes/a.md", text="before")])
    assert importer.run(notes / "a.md") == ["file:c|notes/a.md"]
    assert len(importer.documents) == 1

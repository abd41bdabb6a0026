"""Finding the files to import."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from service.client.importing.roots import Root, root_of
from service.content.file_names import kind_of
from service.core.model import ContentKind

HIDDEN: Final = "hidden"
UNKNOWN_KIND: Final = "of a kind that is not read"


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import.

    Attributes:
        path: Where it is; links in the way to its root are resolved.
        root: The folder that it is imported from; of a file that the user has named,
            the one that it is in.
        name: What it is called on the server, and in messages.
        kind: What is in it.
        given: The user has named it; the others were found in folders.
    """

    path: Path
    root: Root
    name: str
    kind: ContentKind
    given: bool = False

    @property
    def file_name(self) -> str:
        return self.name.rpartition("/")[2]


class Remark(NamedTuple):
    """What is to be said of a file; both texts are safe to print."""

    name: str
    reason: str


@dataclass(slots=True)
class Found:
    """The files to import, and what else there is.

    Attributes:
        sources: Without repetitions, and of different names in each root.
        folders: Those that were given.
        seen: The ids of roots with the names of files in them, whether imported or not.
        left_out: Files and folders that are not imported.
        failed: What cannot be imported.
    """

    sources: list[Source] = field(default_factory=list)
    folders: list[Root] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    left_out: list[Remark] = field(default_factory=list)
    failed: list[Remark] = field(default_factory=list)

    def roots(self) -> list[Root]:
        """The given folders, and those of files that were given."""
        return list(dict.fromkeys([*self.folders, *(source.root for source in self.sources)]))


def find(paths: Sequence[Path], name: str | None = None) -> Found:
    """The files that are given, and those in the folders that are given.

    Args:
        paths: Files and folders, all of which exist.
        name: What the user calls the folder that is given. None: folders are called by
            their own names.
    """
    finder = _Finder()
    for given in paths:
        if given.is_dir():
            finder.add_folder(root_of(given, name))
        else:
            root = root_of(given.parent)
            # It is read as text if its suffix is unknown: the user wants it.
            kind = kind_of(given.name) or ContentKind.TEXT
            finder.add(root.path / given.name, root, kind, given=True)
    return finder.found


class _Finder:
    def __init__(self) -> None:
        self.found = Found()
        self._paths: set[Path] = set()
        self._taken: dict[tuple[str, str], Path] = {}

    def add_folder(self, root: Root) -> None:
        self.found.folders.append(root)
        for path in self._walk(root):
            kind = kind_of(path.name)
            if kind is None:
                self._leave_out(path, root, UNKNOWN_KIND)
            else:
                self.add(path, root, kind)

    def add(self, path: Path, root: Root, kind: ContentKind, *, given: bool = False) -> None:
        name = root.name_of(path)
        self.found.seen.add((root.id, name))
        if path in self._paths:
            return
        other = self._taken.setdefault((root.id, name), path)
        if other == path:
            self._paths.add(path)
            self.found.sources.append(Source(path, root, name, kind, given))
        else:
            reason = "another file has the same name, but for how it is encoded"
            self.found.failed.append(Remark(name, reason))

    def _leave_out(self, path: Path, root: Root, reason: str) -> None:
        name = root.name_of(path)
        self.found.seen.add((root.id, name))
        self.found.left_out.append(Remark(name, reason))

    def _walk(self, root: Root) -> Iterator[Path]:
        """The files in a folder, in a stable order, without hidden ones and links to folders."""

        def fail(error: OSError) -> None:
            name = root.name_of(Path(error.filename))
            self.found.failed.append(Remark(name, error.strerror or str(error)))

        for folder, folders, files in os.walk(root.path, onerror=fail):
            for name in sorted(folders):
                path = Path(folder, name)
                if _is_hidden(name):
                    self._leave_out(path, root, HIDDEN)
                elif path.is_symlink():
                    self._leave_out(path, root, "a link to a folder")
            # In place: these are entered next.
            folders[:] = [
                name
                for name in sorted(folders)
                if not _is_hidden(name) and not Path(folder, name).is_symlink()
            ]
            for name in sorted(files):
                if _is_hidden(name):
                    self._leave_out(Path(folder, name), root, HIDDEN)
                else:
                    yield Path(folder, name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")

"""Finding and naming the files to import."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from service.client.importing.kinds import kind_of
from service.client.printable import printable
from service.core.model import ContentKind

HIDDEN: Final = "hidden"
UNKNOWN_KIND: Final = "of a kind that is not read"

_ID_LENGTH: Final = 100
_DIGEST_LENGTH: Final = 24


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import.

    Attributes:
        path: Where it is.
        name: Its path as it is sent to the server.
        kind: What is in it.
        given: It was named by the user; the others were found in folders.
    """

    path: Path
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
    """The files to import, those to leave out, and what cannot be imported."""

    sources: list[Source] = field(default_factory=list)
    left_out: list[Remark] = field(default_factory=list)
    failed: list[Remark] = field(default_factory=list)


def find(paths: Sequence[Path], base: Path) -> Found:
    """The files that are given, and those in the folders that are given.

    Args:
        paths: Files and folders, all of which exist.
        base: Names are relative to it; those of paths outside of it, to the folder
            that contains the path.
    """
    found = Found()
    base = base.resolve()
    taken: dict[str, Path] = {}
    for given in paths:
        root = given.resolve()
        above = base if root.is_relative_to(base) else root.parent
        folder = root.is_dir()
        for path in _walk(root, found) if folder else [root]:
            name = _clean(path.relative_to(above).as_posix())
            # A file that was named is read as text, whatever its suffix.
            kind = kind_of(path.name) or (None if folder else ContentKind.TEXT)
            if kind is None:
                found.left_out.append(Remark(name, UNKNOWN_KIND))
            elif name not in taken:
                taken[name] = path
                found.sources.append(Source(path, name, kind, not folder))
            elif taken[name] != path:
                reason = f"has the same name as {_clean(str(taken[name]))}"
                found.failed.append(Remark(_clean(str(path)), reason))
    return found


def _walk(root: Path, found: Found) -> Iterator[Path]:
    """The files in a folder, in a stable order, without hidden ones and links to folders."""

    def note(error: OSError) -> None:
        found.failed.append(
            Remark(_clean(str(error.filename or root)), error.strerror or str(error))
        )

    for folder, folders, files in os.walk(root, onerror=note):
        entered = []
        for name in sorted(folders):
            path = Path(folder, name)
            if _is_hidden(name):
                found.left_out.append(Remark(_clean(str(path)), HIDDEN))
            elif path.is_symlink():
                found.left_out.append(Remark(_clean(str(path)), "a link to a folder"))
            else:
                entered.append(name)
        folders[:] = entered
        for name in sorted(files):
            if _is_hidden(name):
                found.left_out.append(Remark(_clean(str(Path(folder, name))), HIDDEN))
            else:
                yield Path(folder, name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _clean(name: str) -> str:
    """Without bytes that are no text and without control characters."""
    return printable(os.fsencode(name).decode(errors="replace"))


def custom_id(container: str, name: str) -> str:
    """The same for the same file in the same container, and for no other.

    Custom ids are unique in a tenant, so the container is part of it. One that would be
    too long is cut off and ends with a digest.
    """
    full = f"file:{container}|{name}"
    if len(full) <= _ID_LENGTH:
        return full
    digest = sha256(full.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{full[: _ID_LENGTH - _DIGEST_LENGTH - 1]}~{digest}"

"""Files to import: finding, naming and reading them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from service.client.printable import printable
from service.core.model import ContentKind

KINDS: Final = {
    ".txt": ContentKind.TEXT,
    ".text": ContentKind.TEXT,
    ".md": ContentKind.MARKDOWN,
    ".markdown": ContentKind.MARKDOWN,
    ".html": ContentKind.HTML,
    ".htm": ContentKind.HTML,
}
"""What is imported, by suffix in lower case."""

MAX_BYTES: Final = 1_048_576
"""Of a document's content, as in the contract."""

_ID_LENGTH: Final = 100
_DIGEST_LENGTH: Final = 24


class SkippedError(Exception):
    """A file that is not imported; the text says why, in two or three words."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to import; `name` is its path as it is sent to the server."""

    path: Path
    name: str
    kind: ContentKind

    @property
    def file_name(self) -> str:
        return self.name.rpartition("/")[2]


@dataclass(slots=True)
class Found:
    """`skipped` counts files by the reason they are left out."""

    sources: list[Source] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    clashes: list[tuple[str, str]] = field(default_factory=list)
    """Names of files that have the name of another, and the path of that one."""


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
        for path in _files(root, found.skipped):
            kind = KINDS.get(path.suffix.lower())
            name = _clean(path.relative_to(above).as_posix())
            if kind is None:
                found.skipped["neither text, Markdown nor HTML"] += 1
            elif name not in taken:
                taken[name] = path
                found.sources.append(Source(path, name, kind))
            elif taken[name] != path:
                found.clashes.append((_clean(str(path)), _clean(str(taken[name]))))
    return found


def _files(root: Path, skipped: Counter[str]) -> Iterator[Path]:
    """In a stable order, without hidden files and without links to folders."""
    if not root.is_dir():
        yield root
        return
    for folder, folders, files in os.walk(root):
        skipped["hidden"] += sum(map(_is_hidden, [*folders, *files]))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(files):
            if not _is_hidden(name):
                yield Path(folder, name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _clean(name: str) -> str:
    """Without bytes that are no text and without control characters."""
    return printable(os.fsencode(name).decode(errors="replace"))


def read(source: Source) -> str:
    """The text of a file; raises SkippedError if it cannot be imported."""
    if source.path.stat().st_size > MAX_BYTES:
        raise SkippedError("larger than 1 MiB")
    try:
        text = source.path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SkippedError("not UTF-8") from None
    if "\0" in text:
        raise SkippedError("binary")
    if not text.strip():
        raise SkippedError("empty")
    return text


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

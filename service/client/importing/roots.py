"""The folders that files are imported from, and how both are named.

A file is named by its path in the folder that was imported, with that folder's own name in
front: alike from wherever the command runs. Two folders of one name are told apart by where
they are.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from service.client.printable import printable

_ID_LENGTH: Final = 100
_DIGEST_LENGTH: Final = 24
_CUT_LENGTH: Final = _ID_LENGTH - _DIGEST_LENGTH - 1
_AT: Final = "at:"
_AS: Final = "as:"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that files are imported from.

    Attributes:
        path: Where it is, without links.
        name: How the names of its files begin.
        id: By which its documents are known: of the place or, if the user has given
            the name, of the name alone.
    """

    path: Path
    name: str
    id: str

    @property
    def named(self) -> bool:
        """The user has given its name, and so it may be anywhere."""
        return self.id.startswith(_AS)

    def name_of(self, path: Path) -> str:
        """The name of a file in it."""
        return f"{self.name}/{clean(path.relative_to(self.path).as_posix())}"


def root_of(folder: Path, name: str | None = None) -> Root:
    """The root at a folder; `name` is what the user calls it."""
    folder = folder.resolve()
    if name is not None:
        return Root(folder, name, f"{_AS}{name}")
    return _root_at(folder)


@lru_cache(maxsize=10_000)
def _root_at(folder: Path) -> Root:
    path = unicodedata.normalize("NFC", str(folder)).encode(errors="surrogateescape")
    digest = sha256(path).hexdigest()[:_DIGEST_LENGTH]
    return Root(folder, clean(folder.name), f"{_AT}{digest}")


def roots_above(path: Path) -> Iterator[Root]:
    """Every folder that a file could have been imported from, as a root."""
    return map(_root_at, path.parents)


def clean(name: str) -> str:
    """Composed (NFC), without bytes that are no text and without control characters.

    File systems decompose names, or do not: é is one character or two.
    """
    text = os.fsencode(name).decode(errors="replace")
    return printable(unicodedata.normalize("NFC", text))


def custom_id(container: str, name: str) -> str:
    """The same for the same name in the same container, and for no other.

    The container is part of it, as a document may be in several: it was imported into this
    one. One that would be too long is cut off and ends with a digest.
    """
    full = f"file:{container}|{name}"
    if len(full) <= _ID_LENGTH:
        return full
    digest = sha256(full.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{full[:_CUT_LENGTH]}~{digest}"


def id_prefix(container: str) -> str:
    """How the custom ids of all documents begin that are imported into a container."""
    return f"file:{container}|"[:_CUT_LENGTH]

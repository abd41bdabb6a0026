"""Digests of models, which name their vector spaces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256(file: Path) -> bytes:
    """The SHA-256 of a file's content; raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def digest(files: Iterable[Path], *recipe: object) -> str:
    """16 hexadecimal digits that stand for the files and for how they are used.

    Raises:
        OSError: A file cannot be read.
    """
    return combined(map(sha256, files), *recipe)


def combined(hashes: Iterable[bytes], *recipe: object) -> str:
    """The same of files whose SHA-256 is known."""
    whole = hashlib.sha256(repr(recipe).encode())
    for each in hashes:
        whole.update(each)
    return whole.hexdigest()[:16]

"""Digests of models, which name their vector spaces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest(files: Iterable[Path], *recipe: object) -> str:
    """16 hexadecimal digits that stand for the files and for how they are used.

    Raises:
        OSError: A file cannot be read.
    """
    whole = hashlib.sha256(repr(recipe).encode())
    for path in files:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:16]

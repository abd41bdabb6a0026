"""The raw bytes of files."""

from __future__ import annotations

import mmap
import re
from pathlib import Path


def matches_in(folder: Path, pattern: re.Pattern[bytes], but: str = "") -> set[bytes]:
    """What a pattern finds in the files of a folder and those in it, but those of a name."""
    found: set[bytes] = set()
    for file in folder.rglob("*"):
        if not file.is_file() or file.stat().st_size == 0 or file.name == but:
            continue
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as raw,
        ):
            found.update(pattern.findall(raw))
    return found

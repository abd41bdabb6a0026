"""How large the files of a database are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from service.ports.metrics import Gauge


def file_sizes(database: Path) -> Iterator[Gauge]:
    """Sizes of the files, and what is free on their disk; what cannot be read is left out."""
    sizes = {}
    for name, path in (("database", database), ("wal", Path(f"{database}-wal"))):
        try:
            sizes[name] = float(path.stat().st_size)
        except OSError:
            continue
    yield Gauge("file_bytes", "Size of the database and of its write-ahead log", "file", sizes)
    try:
        free = shutil.disk_usage(database.parent).free
    except OSError:
        return
    yield Gauge("disk_free_bytes", "Free on the disk of the database", "", {"": float(free)})

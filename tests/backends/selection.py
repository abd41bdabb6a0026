"""Which database a data folder has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.backends.base import Backend
from tests.backends.sqlite import SqliteBackend

_open: dict[Path, Backend] = {}
_opening = threading.RLock()


def backend_of(folder: Path) -> Backend:
    """The database of a data folder, the same at each call; made by the first."""
    folder = folder.absolute()
    with _opening:
        if folder not in _open:
            _open[folder] = SqliteBackend(folder)
        return _open[folder]


@contextmanager
def closed_after() -> Iterator[None]:
    """Close the databases that the block was the first to use."""
    before = set(_open)
    try:
        yield
    finally:
        _close(set(_open) - before)


def _close(folders: set[Path]) -> None:
    with ExitStack() as stack:
        for folder in folders:
            stack.callback(_open.pop(folder).close)

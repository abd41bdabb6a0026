"""Which backend a run of the tests is about."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.backends.base import Backend
from tests.backends.sqlite import SqliteBackend

if TYPE_CHECKING:
    from tests.backends.postgres import DatabaseServer

VARIABLE: Final = "PALIMPSEST_TEST_BACKEND"
"""Names the backend; `pytest --backend` sets it, for the programs that tests start, too."""

URL_VARIABLE: Final = "PALIMPSEST_TEST_DATABASE_URL"
"""Names a server of PostgreSQL to use instead of one of this run's own.

Its user must be allowed to create databases.
"""

COLLATION_VARIABLE: Final = "PALIMPSEST_TEST_COLLATION"
"""Names the order of texts of databases on PostgreSQL; `pytest --collation` sets it."""

_open: dict[Path, Backend] = {}
_opening = threading.RLock()


def selected() -> str:
    """The backend's name: a key of `BACKENDS`."""
    return os.environ.get(VARIABLE) or "sqlite"


@cache
def postgres_server() -> DatabaseServer:
    """The server of this process's databases, started if need be; it ends with the process."""
    from tests.backends.cluster import Cluster, cluster_ordered_by
    from tests.backends.postgres import DatabaseServer

    url = os.environ.get(URL_VARIABLE)
    if not url:
        collation = os.environ.get(COLLATION_VARIABLE)
        cluster = cluster_ordered_by(collation) if collation else Cluster()
        atexit.register(cluster.close)
        cluster.start()
        url = cluster.url
    server = DatabaseServer(url)
    # In the opposite order, when the process ends.
    atexit.register(server.close)
    atexit.register(lambda: _close(set(_open)))
    return server


def _postgres(folder: Path) -> Backend:
    from tests.backends.postgres import PostgresBackend

    return PostgresBackend(folder, postgres_server())


BACKENDS: Final[dict[str, Callable[[Path], Backend]]] = {
    "sqlite": SqliteBackend,
    "postgres": _postgres,
}


def backend_of(folder: Path) -> Backend:
    """The database of a data folder, the same at each call; made by the first."""
    folder = folder.absolute()
    with _opening:
        if folder not in _open:
            _open[folder] = BACKENDS[selected()](folder)
        return _open[folder]


@contextmanager
def used(*backends: Backend) -> Iterator[None]:
    """`backend_of` answers these for their folders while the block runs; then they are closed."""
    with closed_after():
        _open.update({backend.folder.absolute(): backend for backend in backends})
        yield


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

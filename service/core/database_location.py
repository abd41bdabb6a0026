"""Where a database is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 12
"""To PostgreSQL, of one process."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A database on a PostgreSQL server.

    Args:
        url: `postgresql://USER:PASSWORD@HOST:PORT/NAME`; never shown, as it may hold a password.
        connections: How many one process opens, at most.
        prepare: Whether statements are prepared once for each connection. Not behind a proxy
            that gives a connection to each transaction.
    """

    url: str = field(repr=False)
    connections: int = CONNECTIONS
    prepare: bool = True


@dataclass(frozen=True, slots=True)
class DatabaseLocation:
    """Where a database is: in a file, unless a PostgreSQL server is named.

    Args:
        path: The file; with a server, only its folder is used, for the first key.
        server: None: SQLite.
    """

    path: Path
    server: PostgresServer | None = None

"""What tests do with a database, whatever it is."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from service.core.database_location import DatabaseLocation
from service.core.times import WallClock
from service.ports.indexing import Indexer
from service.storage import opening
from service.storage.administration import Administration
from service.storage.engine import StoreOptions
from service.storage.store import SqlStore

QUIET: Final = StoreOptions(sweep_interval=3600, checkpoint_interval=3600)
"""Of stores that do nothing by themselves."""

COMMENT: Final = "/* by a test */ "
"""Begins statements of tests, which are not judged: see `tests/statements.py`."""


class WriteHold(Protocol):
    """A transaction because of which no other can write."""

    def revoke_key(self, secret: str) -> None:
        """Revoke a key as another process does, while nothing else is written."""
        ...

    def release(self) -> None:
        """Let the others write; once more does nothing."""
        ...


class Backend(ABC):
    """The database of one data folder, which any number of servers and stores open.

    Args:
        folder: The data folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    @abstractmethod
    def location(self) -> DatabaseLocation:
        """Where it is."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Which settings name it."""

    @property
    @abstractmethod
    def options(self) -> Sequence[str]:
        """Which flags of the command line name it."""

    @abstractmethod
    async def open(
        self,
        clock: WallClock | None = None,
        *,
        options: StoreOptions = QUIET,
        indexer: Indexer | None = None,
    ) -> SqlStore:
        """Another server's store on it; the caller closes it."""

    @abstractmethod
    def rows(self, sql: str, **values: object) -> list[Any]:
        """What a SELECT finds, by a connection of its own; `:name` is filled with a value."""

    @abstractmethod
    def execute(self, sql: str, **values: object) -> None:
        """Change something behind the servers' backs, in a transaction of its own."""

    @abstractmethod
    def hold_writes(self) -> AbstractContextManager[WriteHold]:
        """Nothing else is written until the block ends, or lets it; reads go on."""

    @abstractmethod
    def matches(self, pattern: re.Pattern[bytes]) -> set[bytes]:
        """What a pattern finds in all that is stored: in the bytes of files, or in every row."""

    @abstractmethod
    def is_open_in(self, pid: int) -> bool:
        """Whether a process has it open; of one that has ended, False."""

    @property
    def administration(self) -> Administration:
        """What the command line does to it; it may be called while an event loop runs."""
        return opening.administration(self.location, create=True)

    def check(self) -> list[str]:
        """What is wrong with it."""
        return self.administration.check(lambda _: None)

    def create_key(
        self,
        tenant: str,
        *,
        label: str = "",
        containers: Sequence[str] = (),
        read_only: bool = False,
        expires_at: int | None = None,
    ) -> str:
        """The secret of a new key; `expires_at` in microseconds."""
        _, secret = self.administration.create_key(
            tenant=tenant,
            label=label,
            containers=containers,
            read_only=read_only,
            expires_at=expires_at,
        )
        return secret

    def revoke_key(self, secret: str) -> bool:
        """True if it was in force."""
        return self.administration.revoke_key(secret.split("_")[1])

    @abstractmethod
    def close(self) -> None:
        """Let go of it, and of what the folder does not hold; no server is on it any more."""

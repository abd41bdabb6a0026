"""A database that is ready to be opened, whatever it runs on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

from service.core.database_location import DatabaseLocation
from service.core.digests import Digester
from service.core.times import WallClock
from service.ports.indexing import Indexer
from service.storage.engine import StoreOptions
from service.storage.store import SqlStore

Gate: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""No read runs while its block runs."""


@dataclass(frozen=True, slots=True)
class PreparedDatabase(ABC):
    """A database whose schema is current, before the store on it is opened.

    Args:
        location: Where it is.
        digester: Has the secret of its digests.
        space: The number of the embedder's vector space; NO_EMBEDDER: none was named.
    """

    location: DatabaseLocation
    digester: Digester
    space: int

    def clock(self) -> WallClock:
        """The wall clock by which all processes on the database go."""
        return WallClock()

    @abstractmethod
    async def open(
        self,
        options: StoreOptions,
        clock: WallClock,
        indexer: Indexer | None = None,
        gates: Sequence[Gate] = (),
    ) -> SqlStore:
        """Open the store on it, and start its background tasks; see `opening.open_prepared`."""

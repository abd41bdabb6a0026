"""Changes, and what a reader of them asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ChangeKind(StrEnum):
    """What happened to what, as the change log stores it.

    The text before the point says which kind of entity.
    """

    DOCUMENT_CREATED = "document.created"
    DOCUMENT_UPDATED = "document.updated"
    DOCUMENT_CUSTOM_ID_LOST = "document.custom_id_lost"
    """Updated, too: it left its home for one where another document has the custom id."""
    DOCUMENT_DELETED = "document.deleted"
    DOCUMENT_PROCESSED = "document.processed"
    DOCUMENT_FAILED = "document.failed"
    DOCUMENT_INDEXED = "document.indexed"
    MEMORY_CREATED = "memory.created"
    MEMORY_UPDATED = "memory.updated"
    MEMORY_FORGOTTEN = "memory.forgotten"
    MEMORY_RESTORED = "memory.restored"
    MEMORY_EXPIRED = "memory.expired"
    MEMORY_DELETED = "memory.deleted"
    MEMORY_INDEXED = "memory.indexed"
    CONTAINER_DELETED = "container.deleted"


INTERNAL_KINDS: Final = frozenset({ChangeKind.DOCUMENT_INDEXED, ChangeKind.MEMORY_INDEXED})
"""Of the index alone: a reader of the changes is not shown them."""


_CHANGE_BYTES: Final = 160
"""Of one change, without its containers and actor."""


@dataclass(slots=True)
class Change:
    """One change, with all of its containers that the reader may see and has asked for.

    `key_id` is empty where the service made it by itself. `actor` is on whose behalf it was
    made, as the caller said; empty: nothing was said.
    """

    revision: int
    kind: ChangeKind
    id: str
    containers: list[str]
    time: int
    key_id: str
    key_label: str
    request_id: str
    actor: str = ""

    @property
    def size(self) -> int:
        """How many bytes a message of it has, roughly."""
        tags = sum(map(len, self.containers)) + 2 * len(self.containers)
        return _CHANGE_BYTES + len(self.actor) + tags


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """The changes after a revision.

    Args:
        after: The revision; 0: from the first.
        containers: Only changes in one of these; empty: in all that the key may see.
        kinds: Only these; empty: all that are shown.
        size: How many at most.
        most_bytes: How much they may take together, roughly; one is answered in any case.
    """

    after: int = 0
    containers: tuple[str, ...] = ()
    kinds: frozenset[ChangeKind] = frozenset()
    size: int = 50
    most_bytes: int = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes up to `revision`: there are no others that were asked for.

    `latest` is the tenant's last revision, and `oldest` the first that is kept.
    """

    changes: Sequence[Change]
    revision: int
    latest: int
    oldest: int

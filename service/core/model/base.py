"""What documents, memories and containers have in common: callers, order and pages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final


class Unset(Enum):
    """Marks a field the caller did not give, where None is a value."""

    UNSET = 0


UNSET: Final = Unset.UNSET

DEFAULT_CONTAINER: Final = "default"


class Order(IntEnum):
    """Numbers of the contract's ListOrder."""

    CREATED_DESC = 1
    CREATED_ASC = 2
    UPDATED_DESC = 3
    UPDATED_ASC = 4

    @property
    def descending(self) -> bool:
        return self in (Order.CREATED_DESC, Order.UPDATED_DESC)

    @property
    def by_update(self) -> bool:
        return self in (Order.UPDATED_DESC, Order.UPDATED_ASC)


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: a tenant's key and its permissions.

    `containers` None means all of the tenant's; `expires_at` None means never.
    `tenant_name` is for logs. `actor` is on whose behalf the call is made, as the caller says;
    empty: nothing was said.
    """

    tenant: int
    key_id: str
    containers: frozenset[str] | None = None
    read_only: bool = False
    expires_at: int | None = None
    tenant_name: str = ""
    actor: str = ""

    def allows(self, container: str) -> bool:
        return self.containers is None or container in self.containers


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's request_id, and the keyed digest of what it names."""

    request_id: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class PageNumber:
    """The page with this `number`, from 1, of pages of `size` items.

    A page whose items weigh more than `max_bytes` together is refused: were it cut short, what
    it lacks would be on no page.
    """

    number: int
    size: int
    max_bytes: int

    @property
    def offset(self) -> int:
        """How many items are on the pages before."""
        return (self.number - 1) * self.size


Position = tuple[str | int, ...]
"""Sort position after which the next page begins; ids, tags and revisions only."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`size` items after `after` (None: from the start).

    `upto` is the revision before the first page was read (None: this is the first page): by
    update, what has moved since is not listed again. `began` is the time of the
    tenant's last write before the first page: a history has no later versions of what
    was there, so that it ends however much others update.
    """

    size: int
    after: Position | None = None
    upto: int | None = None
    max_bytes: int = 3 * 1024 * 1024
    began: int | None = None

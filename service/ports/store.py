"""The protocols of the storage, as the transport uses them.

Every call may raise PalimpsestError: what its method lists, and OVERLOADED,
STORAGE_FULL or STORAGE_UNAVAILABLE. A mutation that returns is durable. A
cancelled call has had its whole effect or none. `request`, where taken, makes a
repetition return the first receipt (REQUEST_ID_REUSED for another request).

Authorization that does not need the stored row (read-only keys, containers
named in the request) is the caller's work; what depends on the row is done
here: rows outside the principal's containers are not found, and writing a
document needs all its containers (CONTAINER_NOT_ALLOWED).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from service.core import model as m
from service.core.digests import Digester
from service.ports.processing import ChunkRow

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """`next` is None on the last page; `revision` is the tenant's before the read.

    `began`: when the tenant last wrote before the read, in microseconds.
    """

    items: Sequence[T_co]
    next: m.Position | None
    revision: int
    began: int | None = None


@dataclass(frozen=True, slots=True)
class NumberedPage(Generic[T_co]):
    """`total`: how many items all pages have together, at the moment the page was read."""

    items: Sequence[T_co]
    total: int
    revision: int


class Keys(Protocol):
    async def authenticate(self, token: str) -> m.Principal:
        """The principal of a key; raises KEY_INVALID. A revocation takes effect at once."""
        ...

    def key_id(self, token: str) -> str:
        """The id of the key that a token claims to be, safe to log; "" if it names none."""
        ...


class Documents(Protocol):
    async def upsert(
        self, principal: m.Principal, write: m.DocumentWrite, request: m.IdempotencyKey | None
    ) -> m.DocumentReceipt: ...

    async def batch_upsert(
        self,
        principal: m.Principal,
        writes: Sequence[m.DocumentWrite],
        request: m.IdempotencyKey | None,
    ) -> m.BatchReceipt: ...

    async def update(
        self, principal: m.Principal, patch: m.DocumentPatch, request: m.IdempotencyKey | None
    ) -> m.DocumentReceipt: ...

    async def append(
        self, principal: m.Principal, append: m.MessagesAppend, request: m.IdempotencyKey | None
    ) -> m.AppendReceipt: ...

    async def delete(
        self, principal: m.Principal, delete: m.DocumentDelete, request: m.IdempotencyKey | None
    ) -> m.DeleteReceipt: ...

    async def delete_ids(
        self,
        principal: m.Principal,
        ids: Sequence[str],
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
    ) -> m.BulkDeleteReceipt: ...

    async def get(self, principal: m.Principal, name: str, home: str = "") -> m.Document:
        """With content. `name` is the id or the custom id; `home` as in a `DocumentPatch`."""
        ...

    async def list(
        self, principal: m.Principal, query: m.DocumentQuery, page: m.PageRequest
    ) -> Page[m.Document]: ...

    async def numbered(
        self, principal: m.Principal, query: m.DocumentQuery, page: m.PageNumber
    ) -> NumberedPage[m.Document]:
        """One page of what `list` lists, in its order, and how much that is.

        It takes time in proportion to `page.offset` and to the total. Raises INVALID_REQUEST
        for a page that is too large.
        """
        ...

    async def chunks(
        self, principal: m.Principal, name: str, page: m.PageRequest, home: str = ""
    ) -> tuple[str, Page[ChunkRow]]:
        """The document's id, and the chunks of its index by position.

        Raises DOCUMENT_NOT_FOUND and AMBIGUOUS_CUSTOM_ID.
        """
        ...

    def watch(
        self, principal: m.Principal, name: str, home: str = ""
    ) -> AsyncIterator[m.Document | str]:
        """The document now, then each time it changes, until it is DONE or FAILED or,
        as its id says then, deleted."""
        ...


class Memories(Protocol):
    async def create(
        self, principal: m.Principal, create: m.MemoryCreate, request: m.IdempotencyKey | None
    ) -> m.MemoriesReceipt: ...

    async def update(
        self, principal: m.Principal, update: m.MemoryUpdate, request: m.IdempotencyKey | None
    ) -> m.UpdatedMemory: ...

    async def forget(
        self, principal: m.Principal, forget: m.MemoryForget, request: m.IdempotencyKey | None
    ) -> m.MemoryReceipt: ...

    async def restore(
        self, principal: m.Principal, restore: m.MemoryRestore, request: m.IdempotencyKey | None
    ) -> m.MemoryReceipt: ...

    async def delete(
        self, principal: m.Principal, delete: m.MemoryDelete, request: m.IdempotencyKey | None
    ) -> m.MemoryDeleteReceipt: ...

    async def forget_many(
        self,
        principal: m.Principal,
        forget: m.MemoryForgetMany,
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
    ) -> m.ForgetManyReceipt: ...

    async def restore_many(
        self, principal: m.Principal, restore: m.MemoryRestoreMany, request: m.IdempotencyKey | None
    ) -> m.RestoreManyReceipt: ...

    async def get(
        self, principal: m.Principal, container: str, memory_id: str, as_of: int | None
    ) -> m.Memory: ...

    async def close_past(self, principal: m.Principal, as_of: int) -> None:
        """Called before anything is read as of an instant, so that such reads are repeatable:
        no later commit, here or by another process, gets an earlier time.

        Raises:
            PalimpsestError: TIME_IN_FUTURE.
            OpenTimeError: In a process that only reads; a process that writes has to do it.
        """
        ...

    async def list(
        self, principal: m.Principal, query: m.MemoryQuery, page: m.PageRequest
    ) -> Page[m.Memory]: ...

    async def numbered(
        self, principal: m.Principal, query: m.MemoryQuery, page: m.PageNumber
    ) -> NumberedPage[m.Memory]:
        """As for documents."""
        ...

    async def versions(
        self, principal: m.Principal, container: str, memory_id: str, page: m.PageRequest
    ) -> Page[m.Memory]: ...


class Containers(Protocol):
    async def list(
        self, principal: m.Principal, prefix: str, page: m.PageRequest
    ) -> Page[m.Container]: ...

    async def delete(
        self,
        principal: m.Principal,
        container: str,
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
        allow_missing: bool,
        budget: float | None,
    ) -> m.ContainerDeleteReceipt:
        """`budget`: seconds after which the answer is partial; None: unlimited."""
        ...

    async def delete_documents(
        self,
        principal: m.Principal,
        containers: Sequence[str],
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
        budget: float | None,
    ) -> m.BulkDeleteReceipt:
        """Delete the containers' documents; those that are also in others leave these only.

        `budget`: seconds after which the answer is partial; None: unlimited.
        """
        ...


class TenantRevision(Protocol):
    """The last revision that one tenant has committed, by this process or another."""

    @property
    def followers(self) -> int:
        """How many follow it on this server now."""
        ...

    async def latest(self) -> int: ...

    async def wait_beyond(self, revision: int, seconds: float | None) -> None:
        """Returns when there is a later one than `revision`.

        Without one it returns after `seconds`, or up to a second later; None: never.
        """
        ...


class Changes(Protocol):
    async def list(self, principal: m.Principal, query: m.ChangeQuery) -> m.ChangePage:
        """Changes in commit order, from one snapshot.

        It reads a bounded number of rows: where most are passed over, the answer has few or
        no changes, and its revision says how far it came.

        Raises:
            PalimpsestError: REVISION_GONE, REVISION_AHEAD.
        """
        ...

    def following(self, principal: m.Principal) -> AbstractContextManager[TenantRevision]:
        """The revision of the principal's tenant, followed while the block runs."""
        ...


class Store(Protocol):
    """All of the storage, opened."""

    @property
    def keys(self) -> Keys: ...

    @property
    def documents(self) -> Documents: ...

    @property
    def memories(self) -> Memories: ...

    @property
    def containers(self) -> Containers: ...

    @property
    def changes(self) -> Changes: ...

    @property
    def digester(self) -> Digester: ...

    def now(self) -> int:
        """The wall clock, in microseconds."""
        ...

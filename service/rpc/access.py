"""What each method does, as far as that must be known before its handler runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from service.core.errors import PalimpsestError, Reason, container_not_allowed
from service.core.model import DEFAULT_CONTAINER, Principal
from service.rpc.pages import page_size


@dataclass(frozen=True, slots=True)
class Access:
    """What a method does, as far as it must be known before its handler runs.

    What depends on the stored document (its containers) is the storage's check.

    Args:
        writes: Whether it changes anything.
        containers: Answers those that a request names, defaults included. A list or search
            that names none is about those that the key may see, which the storage knows.
        answer_bytes: Answers how large the answer to a request can be, roughly.
        offloadable: Whether another process may answer it, as it reads many rows.
    """

    writes: bool
    containers: Callable[[Any], Iterable[str]]
    answer_bytes: Callable[[Any], int]
    offloadable: bool = False


def _none(_: Any) -> Iterable[str]:
    return ()


def _tags(request: Any) -> Iterable[str]:
    tags: Iterable[str] = request.container_tags
    return tags


def _tags_of_items(request: Any) -> Iterable[str]:
    return (tag for item in request.items for tag in item.container_tags)


def _named_tag(request: Any) -> Iterable[str]:
    return (request.container_tag,) if request.container_tag else ()


def _tags_and_named_tag(request: Any) -> Iterable[str]:
    return (*request.container_tags, *_named_tag(request))


def _tag(request: Any) -> Iterable[str]:
    return (request.container_tag or DEFAULT_CONTAINER,)


_KIB: Final = 1024
_RECEIPT: Final = 512
METADATA_BYTES: Final = 20 * _KIB
MEMORY_BYTES: Final = 40 * _KIB + 2 * METADATA_BYTES
DOCUMENT_BYTES: Final = 1024 * _KIB + 2 * METADATA_BYTES
_PAGE: Final = 3 * 1024 * _KIB + DOCUMENT_BYTES
"""A page ends with the item that takes it over 3 MiB."""
_DEFAULT_LIMIT: Final = 10
CHANGE_BYTES: Final = 768
"""A few containers, the label of a key and an actor included; pages of longer ones end early."""
_HIT: Final = 8 * _KIB + METADATA_BYTES


def _page(_: Any) -> int:
    return _PAGE


def _document(_: Any) -> int:
    # A file may have three times as much, which counts as soon as it is read.
    return DOCUMENT_BYTES


def _memory(_: Any) -> int:
    return MEMORY_BYTES


def _updated_memory(_: Any) -> int:
    return 2 * MEMORY_BYTES


def _hits(request: Any) -> int:
    if getattr(request, "include_content", False):
        return _PAGE
    hit = _HIT + METADATA_BYTES if getattr(request, "include_documents", False) else _HIT
    return min(_PAGE, (request.limit or _DEFAULT_LIMIT) * hit)


def _changes(request: Any) -> int:
    return page_size(request.page_size) * CHANGE_BYTES


def _receipt(_: Any) -> int:
    return _RECEIPT


def _receipts_of_items(request: Any) -> int:
    return len(request.items) * _RECEIPT


def _receipts_of_memories(request: Any) -> int:
    return len(request.memories) * _RECEIPT


def _many_receipts(_: Any) -> int:
    return 500 * _RECEIPT


ACCESS: Final[dict[str, Access]] = {
    "palimpsest.v1.Documents.UpsertDocument": Access(True, _tags, _receipt),
    "palimpsest.v1.Documents.BatchUpsertDocuments": Access(
        True, _tags_of_items, _receipts_of_items
    ),
    "palimpsest.v1.Documents.GetDocument": Access(False, _named_tag, _document),
    "palimpsest.v1.Documents.ListDocuments": Access(False, _tags, _page, offloadable=True),
    "palimpsest.v1.Documents.UpdateDocument": Access(True, _tags_and_named_tag, _receipt),
    "palimpsest.v1.Documents.DeleteDocument": Access(True, _named_tag, _receipt),
    "palimpsest.v1.Documents.BulkDeleteDocuments": Access(True, _tags, _many_receipts),
    "palimpsest.v1.Documents.AppendMessages": Access(True, _tags_and_named_tag, _receipt),
    "palimpsest.v1.Documents.SearchDocuments": Access(False, _tags, _hits, offloadable=True),
    "palimpsest.v1.Documents.ListChunks": Access(False, _named_tag, _page, offloadable=True),
    "palimpsest.v1.Documents.WatchDocument": Access(False, _named_tag, _receipt),
    "palimpsest.v1.Memories.CreateMemories": Access(True, _tag, _receipts_of_memories),
    "palimpsest.v1.Memories.GetMemory": Access(False, _tag, _memory),
    "palimpsest.v1.Memories.ListMemories": Access(False, _tags, _page, offloadable=True),
    "palimpsest.v1.Memories.ListMemoryVersions": Access(False, _tag, _page, offloadable=True),
    "palimpsest.v1.Memories.UpdateMemory": Access(True, _tag, _updated_memory),
    "palimpsest.v1.Memories.ForgetMemory": Access(True, _tag, _receipt),
    "palimpsest.v1.Memories.RestoreMemory": Access(True, _tag, _receipt),
    "palimpsest.v1.Memories.ForgetMemories": Access(True, _tag, _many_receipts),
    "palimpsest.v1.Memories.RestoreMemories": Access(True, _tag, _many_receipts),
    "palimpsest.v1.Memories.SearchMemories": Access(False, _tags, _hits, offloadable=True),
    "palimpsest.v1.Memories.GetProfile": Access(False, _tag, _page, offloadable=True),
    "palimpsest.v1.Memories.DeleteMemory": Access(True, _tag, _receipt),
    "palimpsest.v1.Containers.ListContainers": Access(False, _none, _page, offloadable=True),
    "palimpsest.v1.Containers.DeleteContainer": Access(True, _tag, _many_receipts),
    "palimpsest.v1.Changes.ListChanges": Access(False, _tags, _changes, offloadable=True),
    # The room for each of its messages is reserved by itself.
    "palimpsest.v1.Changes.WatchChanges": Access(False, _tags, _receipt),
}
"""By full name of the method."""


def authorize_method(principal: Principal, access: Access) -> None:
    """Raises KEY_READ_ONLY."""
    if access.writes and principal.read_only:
        raise PalimpsestError(Reason.KEY_READ_ONLY, "The key may only read, and this call writes")


def authorize_containers(principal: Principal, access: Access, request: Any) -> None:
    """Raises CONTAINER_NOT_ALLOWED."""
    if principal.containers is None:
        return
    for tag in access.containers(request):
        if tag not in principal.containers:
            raise container_not_allowed()

"""What each call is: whether it writes, looks through much, and which containers it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from service.core.errors import PalimpsestError, Reason, container_not_allowed
from service.core.model import DEFAULT_CONTAINER, Principal


@dataclass(frozen=True, slots=True)
class Access:
    """`containers` answers those a request names, defaults included.

    What depends on the stored document (its containers) is the storage's check.
    Calls that look through much may be answered in another process.
    """

    writes: bool
    containers: Callable[[Any], Iterable[str]]
    looks: bool = False


def _none(_: Any) -> Iterable[str]:
    return ()


def _tags(request: Any) -> Iterable[str]:
    tags: Iterable[str] = request.container_tags
    return tags


def _tags_of_items(request: Any) -> Iterable[str]:
    return (tag for item in request.items for tag in item.container_tags)


def _tag(request: Any) -> Iterable[str]:
    return (request.container_tag or DEFAULT_CONTAINER,)


def _tags_or_default(request: Any) -> Iterable[str]:
    return request.container_tags or (DEFAULT_CONTAINER,)


ACCESS: Final[dict[str, Access]] = {
    "palimpsest.v1.Documents.UpsertDocument": Access(True, _tags),
    "palimpsest.v1.Documents.BatchUpsertDocuments": Access(True, _tags_of_items),
    "palimpsest.v1.Documents.GetDocument": Access(False, _none),
    "palimpsest.v1.Documents.ListDocuments": Access(False, _tags, looks=True),
    "palimpsest.v1.Documents.UpdateDocument": Access(True, _tags),
    "palimpsest.v1.Documents.DeleteDocument": Access(True, _none),
    "palimpsest.v1.Documents.BulkDeleteDocuments": Access(True, _tags),
    "palimpsest.v1.Documents.AppendMessages": Access(True, _tags),
    "palimpsest.v1.Documents.SearchDocuments": Access(False, _tags_or_default, looks=True),
    "palimpsest.v1.Documents.WatchDocument": Access(False, _none),
    "palimpsest.v1.Memories.CreateMemories": Access(True, _tag),
    "palimpsest.v1.Memories.GetMemory": Access(False, _tag),
    "palimpsest.v1.Memories.ListMemories": Access(False, _tags_or_default, looks=True),
    "palimpsest.v1.Memories.ListMemoryVersions": Access(False, _tag, looks=True),
    "palimpsest.v1.Memories.UpdateMemory": Access(True, _tag),
    "palimpsest.v1.Memories.ForgetMemory": Access(True, _tag),
    "palimpsest.v1.Memories.RestoreMemory": Access(True, _tag),
    "palimpsest.v1.Memories.ForgetMemories": Access(True, _tag),
    "palimpsest.v1.Memories.RestoreMemories": Access(True, _tag),
    "palimpsest.v1.Memories.SearchMemories": Access(False, _tags_or_default, looks=True),
    "palimpsest.v1.Memories.GetProfile": Access(False, _tag, looks=True),
    "palimpsest.v1.Memories.DeleteMemory": Access(True, _tag),
    "palimpsest.v1.Containers.ListContainers": Access(False, _none, looks=True),
    "palimpsest.v1.Containers.DeleteContainer": Access(True, _tag),
}
"""By full name of the method."""


def authorize_method(who: Principal, access: Access) -> None:
    """Raises KEY_READ_ONLY."""
    if access.writes and who.read_only:
        raise PalimpsestError(Reason.KEY_READ_ONLY, "The key may only read, and this call writes")


def authorize_containers(who: Principal, access: Access, request: Any) -> None:
    """Raises CONTAINER_NOT_ALLOWED."""
    if who.containers is None:
        return
    for tag in access.containers(request):
        if tag not in who.containers:
            raise container_not_allowed()

"""Changes, as the contract has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from palimpsest.v1 import changes_pb2 as pb
from service.core import model as m
from service.rpc.access import CHANGE_BYTES
from service.rpc.convert import times
from service.rpc.pages import page_size

_NUMBERS: Final[dict[m.ChangeKind, pb.ChangeKind.ValueType]] = {
    kind: pb.ChangeKind.Value(f"CHANGE_KIND_{kind.name}")
    for kind in m.ChangeKind
    if kind not in m.INTERNAL_KINDS
}
_KINDS: Final = {number: kind for kind, number in _NUMBERS.items()}


def query(request: pb.ListChangesRequest) -> m.ChangeQuery:
    """What a valid request asks for."""
    size = page_size(request.page_size)
    return m.ChangeQuery(
        request.after_revision,
        tuple(request.container_tags),
        frozenset(_KINDS[kind] for kind in request.kinds),
        size,
        size * CHANGE_BYTES,
    )


def watch_query(request: pb.WatchChangesRequest, after: int, size: int) -> m.ChangeQuery:
    """What a valid request asks for next, at most `size` changes after a revision."""
    return m.ChangeQuery(
        after,
        tuple(request.container_tags),
        frozenset(_KINDS[kind] for kind in request.kinds),
        size,
        size * CHANGE_BYTES,
    )


def watch_response(page: m.ChangePage) -> pb.WatchChangesResponse:
    response = pb.WatchChangesResponse(revision=page.revision, latest_revision=page.latest)
    to_proto(page.changes, response.changes)
    return response


def to_proto(changes: Iterable[m.Change], messages: Any) -> None:
    """Add changes to a field of messages."""
    for change in changes:
        message = messages.add(
            revision=change.revision,
            kind=_NUMBERS[change.kind],
            id=change.id,
            container_tags=change.containers,
            key_id=change.key_id,
            key_label=change.key_label,
            request_id=change.request_id,
            actor=change.actor,
        )
        times.to_proto(change.time, message.time)

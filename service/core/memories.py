"""Rules of memories: versions, forgetting, restoring, and states in time.

A version is shown during *spans*. A span begins when the version is created or
restored, and ends when it is superseded, forgotten, or reaches `forget_after`;
what ended it holds until the next span begins. One span is therefore enough to
say what a version was at any instant of [shown_from, state_until).

Beginnings, and ends caused by a write, are commit times, which may run ahead of
the wall clock; `forget_after` is an instant of the wall clock. A read of the past
compares both with its instant. A read of the present takes the current span (the
one whose `state_until` is FOREVER): all that is committed has happened, and only a
scheduled end is compared with the wall clock, recorded by the sweeper or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from service.core import metadata as md
from service.core.digests import TenantDigester
from service.core.errors import PalimpsestError, Reason, Violation, etag_mismatch, invalid
from service.core.model import (
    Memory,
    MemoryRestore,
    MemoryUpdate,
    NewMemory,
    TemporalContext,
    TemporalPatch,
    Unset,
)
from service.core.times import FOREVER, Moment, parse_moment


class End(IntEnum):
    """What ended a span. OPEN ends by itself, at `forget_after` if there is one.

    EXPIRED says that this was recorded, by a clock that may have been wrong.
    """

    OPEN = 0
    SUPERSEDED = 1
    FORGOTTEN = 2
    EXPIRED = 3


MADE: Final = (End.SUPERSEDED, End.FORGOTTEN)
"""Ends caused by a write; the others are scheduled."""


@dataclass(slots=True)
class Version:
    """The part of a version that never changes."""

    id: str
    container: str
    root_id: str
    parent_id: str | None
    version: int
    content: str
    metadata: str
    is_static: bool
    temporal: TemporalContext
    source_document_id: str | None
    create_time: int
    actor: str = ""


@dataclass(slots=True)
class Span:
    """One stretch of a version's life; see the module's docstring."""

    shown_from: int
    shown_until: int
    state_until: int
    end: End
    forget_after: int | None
    forget_reason: str
    end_reason: str = ""
    forget_batch_id: str | None = None

    def over(self, wall: int) -> bool:
        """Whether a current span has ended by now."""
        return self.end in MADE or wall >= self.shown_until

    def over_at(self, instant: int) -> bool:
        """Whether it had ended at an instant of the past within its state."""
        return instant >= self.shown_until


def view(digester: TenantDigester, version: Version, span: Span, *, over: bool) -> Memory:
    """The version within a span, or after it (`over`)."""
    is_latest = not (over and span.end is End.SUPERSEDED)
    forgotten = over and is_latest
    by_hand = forgotten and span.end is End.FORGOTTEN
    etag = digester.etag(
        version.content,
        version.metadata,
        version.temporal.document_date,
        "\0".join(version.temporal.event_dates),
        version.is_static,
        span.forget_after,
        span.forget_reason,
        is_latest,
        forgotten,
    )
    return Memory(
        id=version.id,
        container=version.container,
        content=version.content,
        metadata=version.metadata,
        version=version.version,
        parent_id=version.parent_id,
        root_id=version.root_id,
        is_latest=is_latest,
        forgotten=forgotten,
        is_static=version.is_static,
        etag=etag,
        create_time=version.create_time,
        forget_after=span.forget_after,
        forget_reason=span.end_reason if by_hand else span.forget_reason,
        temporal=version.temporal,
        source_document_id=version.source_document_id,
        forget_time=span.shown_until if forgotten else None,
        forget_batch_id=span.forget_batch_id if by_hand else None,
        actor=version.actor,
    )


def not_latest(latest_id: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.MEMORY_NOT_LATEST,
        f"The memory has a newer version: {latest_id}",
        resource=("palimpsest.v1.Memory", latest_id),
        metadata={"latest_id": latest_id},
    )


def already_forgotten(memory_id: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.MEMORY_FORGOTTEN,
        "The memory is forgotten; RestoreMemory brings it back",
        resource=("palimpsest.v1.Memory", memory_id),
    )


NAMED = 20
"""Ids that an error names, at most."""


def ambiguous(ids: list[str]) -> PalimpsestError:
    count = str(len(ids)) if len(ids) <= NAMED else f"More than {NAMED}"
    return PalimpsestError(
        Reason.AMBIGUOUS_CONTENT,
        f"{count} memories have this content; use an id",
        resource=("palimpsest.v1.Memory", ids[0]),
        metadata={"ids": ",".join(sorted(ids)[:NAMED])},
    )


def content_mismatch(memory_id: str) -> PalimpsestError:
    return PalimpsestError(
        Reason.CONTENT_MISMATCH,
        "The memory with this id has another content",
        resource=("palimpsest.v1.Memory", memory_id),
    )


def check_etag(
    digester: TenantDigester, given: str | None, version: Version, span: Span, wall: int
) -> None:
    if given and given != view(digester, version, span, over=span.over(wall)).etag:
        raise etag_mismatch("memory")


def check_ahead(instant: int | None, wall: int, path: str) -> None:
    """A scheduled instant must lie in the future."""
    if instant is not None and instant <= wall:
        raise invalid([Violation(path, "must lie in the future")])


def first_version(
    new: NewMemory,
    memory_id: str,
    container: str,
    source: str | None,
    now: int,
    *,
    actor: str = "",
) -> tuple[Version, Span]:
    version = Version(
        id=memory_id,
        container=container,
        root_id=memory_id,
        parent_id=None,
        version=1,
        content=new.content,
        metadata=md.canonical(md.without_nulls(new.metadata or {})),
        is_static=new.is_static,
        temporal=new.temporal,
        source_document_id=source,
        create_time=now,
        actor=actor,
    )
    return version, _open_span(now, new.forget_after, new.forget_reason)


def next_version(
    update: MemoryUpdate,
    memory_id: str,
    current: Version,
    span: Span,
    now: int,
    wall: int,
    *,
    actor: str = "",
) -> tuple[Version, Span]:
    """The version that replaces `current`, and its span.

    Args:
        update: What is to be changed.
        memory_id: The id of the new version.
        current: The version.
        span: In which it is shown.
        now: The commit time.
        wall: The wall clock.
        actor: On whose behalf the new version is written.

    Raises:
        PalimpsestError: INVALID_REQUEST for a schedule that cannot be.
    """
    forget_after, reason = span.forget_after, span.forget_reason
    if not isinstance(update.forget_after, Unset):
        check_ahead(update.forget_after, wall, "forget_after")
        forget_after = update.forget_after
    if forget_after is None:
        if update.forget_reason:
            raise invalid([Violation("forget_reason", "needs a forget_after, given or inherited")])
        reason = ""
    elif update.forget_reason is not None:
        reason = update.forget_reason
    metadata = current.metadata
    if update.metadata is not None:
        metadata = md.canonical(md.without_nulls(update.metadata))
    version = Version(
        id=memory_id,
        container=current.container,
        root_id=current.root_id,
        parent_id=current.id,
        version=current.version + 1,
        content=update.content,
        metadata=metadata,
        is_static=current.is_static if update.is_static is None else update.is_static,
        temporal=merge_temporal(current.temporal, update.temporal),
        source_document_id=current.source_document_id,
        create_time=now,
        actor=actor,
    )
    return version, _open_span(now, forget_after, reason)


def date_of(temporal: TemporalContext | TemporalPatch | None) -> Moment | None:
    """The date that is given, if one is."""
    date = None if temporal is None else temporal.document_date
    return parse_moment(date) if isinstance(date, str) else None


def merge_temporal(current: TemporalContext, patch: TemporalPatch | None) -> TemporalContext:
    """Field by field; what is not given stays."""
    if patch is None:
        return current
    date, events = patch.document_date, patch.event_dates
    return TemporalContext(
        current.document_date if isinstance(date, Unset) else date,
        current.event_dates if isinstance(events, Unset) else events,
    )


def restored_span(restore: MemoryRestore, span: Span, now: int, wall: int) -> Span:
    """The span that follows `span` when its version is restored; times as in `next_version`."""
    if not isinstance(restore.forget_after, Unset):
        check_ahead(restore.forget_after, wall, "forget_after")
        forget_after = restore.forget_after
    elif span.forget_after is not None and span.forget_after <= wall:
        forget_after = None
    else:
        forget_after = span.forget_after
    return _open_span(now, forget_after, span.forget_reason if forget_after else "")


def _open_span(now: int, forget_after: int | None, reason: str) -> Span:
    until = FOREVER if forget_after is None else forget_after
    return Span(now, until, FOREVER, End.OPEN, forget_after, reason)

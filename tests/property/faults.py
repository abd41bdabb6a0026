"""Faults to seed into the service: each breaks one promise of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from service.core import documents as document_rules
from service.core import filters as filter_rules
from service.core import memories as memory_rules
from service.core import metadata as metadata_rules
from service.core.model import MemoryQuery, MessagesAppend
from service.core.pages import decode_token, encode_token
from service.core.times import FOREVER
from service.rpc import pages, profiles
from service.rpc.convert import search
from service.storage import idempotent_run
from service.storage.documents import operations as documents
from service.storage.documents import writes as document_writes
from service.storage.memories import lists as memory_lists
from service.storage.memories import writes as memory_writes

Seed = Callable[[pytest.MonkeyPatch], None]


def _nothing(*_: object) -> None:
    """In place of a check."""


def spans_begin_late(patch: pytest.MonkeyPatch) -> None:
    """A version is not yet there at the instant it was made."""
    open_span = memory_rules._open_span
    patch.setattr(
        memory_rules,
        "_open_span",
        lambda now, *rest: replace(open_span(now, *rest), shown_from=now + 1),
    )


def expiry_comes_late(patch: pytest.MonkeyPatch) -> None:
    """At the very instant of forget_after a memory still counts as remembered."""
    for name in ("over", "over_at"):
        over = getattr(memory_rules.Span, name)
        patch.setattr(
            memory_rules.Span,
            name,
            lambda span, at, over=over: over(span, at - (at == span.forget_after)),
        )


def restoring_rewrites_the_past(patch: pytest.MonkeyPatch) -> None:
    """A restored memory shows as never forgotten: the span that ended goes on until now."""
    close = memory_writes.MemoryWriteBatch.close

    def closed(self: Any, memory_id: str, span: Any, *args: Any, **options: Any) -> None:
        if until := options.get("state_until"):
            span = replace(span, shown_until=until)
        close(self, memory_id, span, *args, **options)

    patch.setattr(memory_writes.MemoryWriteBatch, "close", closed)


def lists_trust_the_sweeper(patch: pytest.MonkeyPatch) -> None:
    """An expired memory is listed until its expiry is recorded."""
    ends_now = memory_lists._ends_now
    patch.setattr(
        memory_lists, "_ends_now", lambda query, shown, wall: ends_now(query, shown, -FOREVER)
    )


def document_etags_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(document_rules, "check_etag", _nothing)


def memory_etags_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory_rules, "check_etag", _nothing)


def loose_filters_know_no_numbers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(filter_rules, "loose_number", lambda text: None)


def nulls_stay_in_metadata(patch: pytest.MonkeyPatch) -> None:
    """A null does not remove its key when metadata is merged."""
    merge = metadata_rules.merge
    patch.setattr(
        metadata_rules,
        "merge",
        lambda current, change: merge(
            current, {key: value for key, value in change.items() if value is not None}
        ),
    )


def requests_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A repeated request_id takes effect again."""
    patch.setattr(
        idempotent_run, "_replay_receipts", lambda tx, mutations, waiting, outcomes: (waiting, [])
    )


def pages_skip_a_row(patch: pytest.MonkeyPatch) -> None:
    """Every page after the first begins one row too late, or one key."""
    patch.setattr(
        pages,
        "encode_token",
        lambda digester, fingerprint, listed: encode_token(
            digester, fingerprint, listed._replace(after=tuple(map(_past, listed.after)))
        ),
    )


def _past(part: str | int) -> str | int:
    return part + "0" if isinstance(part, str) else part - 1


def positions_name_versions(patch: pytest.MonkeyPatch) -> None:
    """A memory that is updated after it was listed comes behind its own position."""
    history = memory_lists._keys(MemoryQuery(("a",), include_history=True))
    keys = memory_lists._keys
    patch.setattr(
        memory_lists,
        "_keys",
        lambda query: keys(query) if query.order.by_update else history,
    )


def histories_grow_while_they_are_read(patch: pytest.MonkeyPatch) -> None:
    """A version that is written after the first page is listed in a later one."""
    patch.setattr(pages, "decode_token", lambda *args: decode_token(*args)._replace(began=None))


def sources_outlive_their_documents(patch: pytest.MonkeyPatch) -> None:
    """A deleted document leaves its memories pointing at nothing."""
    patch.setattr(document_writes, "_REMOVE", document_writes._REMOVE[:-1])


def batches_go_in_request_order(patch: pytest.MonkeyPatch) -> None:
    """The items of a batch are not applied oldest first."""
    patch.setattr(documents, "_oldest_first", lambda writes: list(enumerate(writes)))


def appends_are_done_again(patch: pytest.MonkeyPatch) -> None:
    """A repeated request_id appends its messages once more."""
    recall = idempotent_run._replay_receipts

    def recalled(tx: Any, calls: Any, waiting: list[int], outcomes: Any) -> Any:
        if any(isinstance(calls[i].payload, MessagesAppend) for i in waiting):
            return waiting, []
        return recall(tx, calls, waiting, outcomes)

    patch.setattr(idempotent_run, "_replay_receipts", recalled)


def appends_turn_the_order(patch: pytest.MonkeyPatch) -> None:
    """The messages of one call are appended last first."""
    appended = document_rules.appended
    patch.setattr(
        document_rules,
        "appended",
        lambda append, *rest: appended(replace(append, messages=append.messages[::-1]), *rest),
    )


def profiles_show_the_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        profiles,
        "MemoryQuery",
        lambda *args, **given: MemoryQuery(*args, **{**given, "include_forgotten": True}),
    )


def searches_know_no_past(patch: pytest.MonkeyPatch) -> None:
    """A search as of a time in the past answers as of now."""
    read = search.memories
    patch.setattr(search, "memories", lambda *args: replace(read(*args), as_of=None))


def queries_forget_one_of_a_text(patch: pytest.MonkeyPatch) -> None:
    """Of several memories of one text, forgetting by query forgets one."""
    to_forget = search.to_forget

    def once(*args: Any) -> Any:
        query = to_forget(*args)
        return query and replace(query, every_text=False)

    patch.setattr(search, "to_forget", once)


FAULTS: Mapping[str, Seed] = {
    seed.__name__.replace("_", " "): seed
    for seed in (
        spans_begin_late,
        expiry_comes_late,
        restoring_rewrites_the_past,
        lists_trust_the_sweeper,
        document_etags_are_ignored,
        memory_etags_are_ignored,
        loose_filters_know_no_numbers,
        nulls_stay_in_metadata,
        requests_are_forgotten,
        pages_skip_a_row,
        positions_name_versions,
        histories_grow_while_they_are_read,
        sources_outlive_their_documents,
        batches_go_in_request_order,
        appends_are_done_again,
        appends_turn_the_order,
        profiles_show_the_forgotten,
        searches_know_no_past,
        queries_forget_one_of_a_text,
    )
}

RARELY_NOTICED = frozenset(
    {
        "appends turn the order",
        "restoring rewrites the past",
        "searches know no past",
    }
)
"""Those that many examples may have to be tried for."""

"""Requests, drawn so that things meet: few names, few words, few keys.

What depends on what is there is drawn as a place: `?3` for the fourth newest name,
an instant as microseconds from now, or as a place among those that have passed.
`places.settle` puts in what stands there when the request is made.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from palimpsest.v1 import containers_pb2 as containers
from palimpsest.v1 import documents_pb2 as documents
from palimpsest.v1 import memories_pb2 as memories
from palimpsest.v1.filter_pb2 import Condition, Filter, FilterField, FilterList, MatchCondition
from tests.property.filters import Value
from tests.property.places import PLACE
from tests.property.tenant import stamp, struct

Strategy = st.SearchStrategy[Any]

TAGS = ("default", "a", "a/b", "B")
LIMITED = frozenset(["default", "a"])
CUSTOM_IDS = ("n1", "n2", "n10", "N1", "x%_", "x_")
WORDS = ("tea", "Tea", "coffee", "Straße", "STRASSE", "tea and coffee", "café", "cafe\u0301")
DATES = ("2026-05-08", "2026-05-08T10:00:00Z", "2026-05-08T12:00:00+02:00", "2027-01-01")
KEYS = ("k", "K", "deep.er")
NUMBERS = (2.0, -1.0, 2.5)
LOOSE = ("true", "false", "True", "2", "2.0", "2.50", "-1", "tea")
TEXTS = (*WORDS, *DATES, "true", "2", "", "not a date")
DAY = 86_400_000_000
UUIDS = st.uuids(version=4).map(str)

maybe = st.booleans()
tags = st.lists(st.sampled_from(TAGS), unique=True, max_size=3)
words = st.sampled_from(WORDS)
values: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.sampled_from([*NUMBERS, "2", "true", True]),
    st.booleans(),
    st.lists(st.sampled_from(WORDS), max_size=3),
)
metadata = st.dictionaries(st.sampled_from(KEYS), values, max_size=3).map(struct)
nullable = st.builds(lambda value, there: value if there else None, values, maybe)
patches = st.dictionaries(st.sampled_from(KEYS), nullable, max_size=3).map(struct)
page_sizes = st.sampled_from([0, 1, 2, 3])
orders = st.sampled_from([None, 1, 2, 3, 4])


def optional(strategy: Strategy, among: int = 2) -> Strategy:
    """None, or in one of so many draws something."""
    return st.one_of([st.none()] * (among - 1) + [strategy])


@st.composite
def built(draw: st.DrawFn, message: Any, /, **fields: Any) -> Any:
    """A message; a field drawn as None is absent."""
    drawn = {name: draw(strategy) for name, strategy in fields.items()}
    return message(**{name: value for name, value in drawn.items() if value is not None})


def some(strategy: Strategy, most: int = 3) -> Strategy:
    return st.lists(strategy, min_size=1, max_size=most)


def places(most: int) -> Strategy:
    return st.integers(0, most).map(lambda place: f"{PLACE}{place}")


names = places(24)
homes = optional(st.sampled_from(TAGS), 4)
request_ids = optional(UUIDS, 3)
etags = optional(places(4), 3)
offsets = st.sampled_from([-1, 0, *[1, 2, 3, 1000, DAY // 24, DAY, 400 * DAY] * 3]).map(stamp)
past = st.integers(0, 150).map(stamp)


# --- filters -----------------------------------------------------------------


def _condition(subject: dict[str, Any], test: str, given: Strategy, *, fold: bool) -> Strategy:
    return built(
        Condition,
        **{name: st.just(value) for name, value in subject.items()},
        **{test: given},
        **({"ignore_case": maybe} if fold else {}),
    )


def _tests(subject: dict[str, Any]) -> Strategy:
    strings, numbers = st.sampled_from(TEXTS), st.sampled_from(NUMBERS)
    kinds = [
        _condition(subject, "equals_string", strings, fold=True),
        _condition(subject, "contains", words | st.sampled_from(["e", "TEA", "s"]), fold=True),
        _condition(subject, "list_contains", words, fold=True),
        _condition(subject, "equals_bool", maybe, fold=False),
        _condition(subject, "exists", st.just(True), fold=False),
        _instant_tests(subject, st.sampled_from(DATES)),
    ]
    of_numbers = ("equals_number", "greater_than", "greater_or_equal", "less_than", "less_or_equal")
    kinds += [_condition(subject, test, numbers, fold=False) for test in of_numbers]
    return st.one_of(kinds)


def _instant_tests(subject: dict[str, Any], given: Strategy) -> Strategy:
    tests = ("after", "at_or_after", "before", "at_or_before")
    return st.one_of([_condition(subject, test, given, fold=False) for test in tests])


def _field_tests(*, of_memories: bool) -> Strategy:
    moments = places(12)
    field = FilterField
    kinds = [
        _instant_tests({"field": field.FILTER_FIELD_CREATED}, moments),
        _instant_tests({"field": field.FILTER_FIELD_UPDATED}, moments),
    ]
    dated = [field.FILTER_FIELD_DOCUMENT_DATE]
    if of_memories:
        dated.append(field.FILTER_FIELD_EVENT_DATES)
        static = {"field": field.FILTER_FIELD_STATIC}
        kinds.append(_condition(static, "equals_bool", maybe, fold=False))
    else:
        status = {"field": field.FILTER_FIELD_STATUS}
        names = st.sampled_from(["QUEUED", "DONE"])
        kinds.append(_condition(status, "equals_string", names, fold=False))
    for one in dated:
        kinds.append(_instant_tests({"field": one}, st.sampled_from(DATES)))
        kinds.append(_condition({"field": one}, "exists", st.just(True), fold=False))
    return st.one_of(kinds)


def _trees(*, of_memories: bool) -> Strategy:
    """Filters of up to three levels."""
    of_keys = st.one_of([_tests({"key": key}) for key in KEYS])
    loose = built(
        MatchCondition, key=st.sampled_from(KEYS), value=st.sampled_from(LOOSE), negate=maybe
    )
    leaves = (
        built(Filter, condition=of_keys)
        | built(Filter, condition=_field_tests(of_memories=of_memories))
        | built(Filter, match=loose)
        | built(Filter, match=loose)
    )

    def wider(inner: Strategy) -> Strategy:
        operands = built(FilterList, filters=some(inner))
        return (
            built(Filter, all_of=operands)
            | built(Filter, any_of=operands)
            | built(Filter, negated=inner)
        )

    return leaves | wider(leaves) | wider(wider(leaves))


of_documents = _trees(of_memories=False)
of_memories = _trees(of_memories=True)
loosely = Filter(
    any_of=FilterList(
        filters=[
            Filter(match=MatchCondition(key=key, value=value))
            for key in KEYS
            for value in ("2.50", "-1", "false")
        ]
    )
)
"""True of a good part of whatever metadata are drawn."""


# --- documents ---------------------------------------------------------------

said = words | st.sampled_from(["", " two\nlines ", "n\0l"])
messages = built(
    documents.ConversationMessage,
    speaker=st.sampled_from(["", "Ann", "Ben"]),
    text=said,
    time=optional(st.sampled_from([1, 20_000 * DAY]).map(stamp), 3),
    image_caption=st.sampled_from(["", "", "a lake"]),
).filter(lambda message: message.text or message.image_caption)
conversations = some(messages).map(lambda given: documents.Conversation(messages=given))
LIKE_MESSAGES = '[["","tea",null,""]]'
"""A text that reads like messages and is none."""
kinds = st.sampled_from([1, 2, 3])
all_kinds = st.sampled_from([1, 2, 3, 5, 6])
FILES = [(5, b"%PDF-1.7 \xff"), (6, b"PK\x03\x04word/\xff"), (6, b"PK\x03\x04word/tea")]
bodies: Strategy = st.one_of(
    words.map(lambda text: {"content": text}),
    words.map(lambda text: {"content": text}),
    st.builds(
        lambda text, kind: {"content": text, "content_kind": kind},
        words | st.just(LIKE_MESSAGES),
        kinds,
    ),
    conversations.map(lambda given: {"conversation": given}),
    conversations.map(lambda given: {"conversation": given, "content_kind": 4}),
    st.sampled_from(FILES).map(lambda file: {"content_bytes": file[1]}),
    st.sampled_from(FILES).map(lambda file: {"content_bytes": file[1], "content_kind": file[0]}),
)
"""Content of a document, of any kind."""

changed_dates: Strategy = st.one_of(
    st.just({}),
    st.sampled_from([0, DAY, 20_000 * DAY]).map(lambda date: {"document_date": stamp(date)}),
    st.just({"clear_document_date": True}),
)


def both(one: Strategy, other: Strategy) -> Strategy:
    """The fields of both."""
    return st.builds(lambda some_fields, more: {**some_fields, **more}, one, other)


@st.composite
def filled(draw: Any, message: Strategy, given: Strategy) -> Any:
    """A message with the fields given beside its own."""
    drawn = draw(message)
    drawn.MergeFrom(type(drawn)(**draw(given)))
    return drawn


def _upserts(**further: Strategy) -> Strategy:
    return filled(
        built(
            documents.UpsertDocumentRequest,
            custom_id=st.sampled_from([None, *CUSTOM_IDS]),
            container_tags=optional(tags),
            metadata=optional(patches),
            title=optional(st.sampled_from(["", "T", "Ü"])),
            mode=optional(st.sampled_from([1, 2, 3]), 4),
            etag=etags,
            **further,
        ),
        both(bodies, changed_dates),
    ).filter(lambda request: request.custom_id or not request.mode)


upserts = _upserts(request_id=request_ids)
items = _upserts()
batches = built(documents.BatchUpsertDocumentsRequest, items=some(items, 4), request_id=request_ids)
first_batches = built(
    documents.BatchUpsertDocumentsRequest, items=st.lists(items, min_size=3, max_size=5)
)
updates = filled(
    built(
        documents.UpdateDocumentRequest,
        id=names,
        container_tag=homes,
        metadata=optional(patches),
        container_tags=optional(tags),
        title=optional(st.sampled_from(["", "T"])),
        etag=etags,
        request_id=request_ids,
    ),
    both(st.just({}) | bodies | all_kinds.map(lambda kind: {"content_kind": kind}), changed_dates),
)
appends = built(
    documents.AppendMessagesRequest,
    id=names | names | st.sampled_from(CUSTOM_IDS),
    container_tag=homes,
    messages=some(messages),
    create_if_missing=maybe,
    container_tags=optional(tags, 3),
    metadata=optional(patches),
    title=optional(st.sampled_from(["", "T"]), 3),
    etag=etags,
    request_id=request_ids,
)
further_appends = built(
    documents.AppendMessagesRequest,
    id=st.sampled_from(CUSTOM_IDS[:3]),
    messages=some(messages),
    create_if_missing=st.just(True),
    request_id=optional(UUIDS),
)
"""To conversations that are there, mostly because of the one before."""
document_deletes = built(
    documents.DeleteDocumentRequest,
    id=names,
    container_tag=homes,
    allow_missing=maybe,
    etag=etags,
    request_id=request_ids,
)
previews = st.sampled_from([True, False])
bulk_deletes = built(
    documents.BulkDeleteDocumentsRequest,
    ids=some(names, 4),
    validate_only=previews,
    request_id=request_ids,
) | built(
    documents.BulkDeleteDocumentsRequest,
    container_tags=st.lists(st.sampled_from(TAGS), min_size=1, max_size=2, unique=True),
    validate_only=previews,
    request_id=request_ids,
)
document_gets = built(documents.GetDocumentRequest, id=names, container_tag=homes)
document_watches = built(documents.WatchDocumentRequest, id=names, container_tag=homes)
document_lists = built(
    documents.ListDocumentsRequest,
    container_tags=optional(tags),
    match_all_containers=maybe,
    filter=st.none() | of_documents | of_documents,
    statuses=st.sampled_from([[], [], [1], [6], [1, 6]]),
    custom_id_prefix=st.sampled_from(["", "", "n1", "x_", "x%", "N"]),
    order=orders,
    page_size=page_sizes,
    include_content=maybe,
)


# --- memories ----------------------------------------------------------------

temporal = built(
    memories.TemporalContext,
    document_date=optional(st.sampled_from(DATES)),
    event_dates=st.lists(st.sampled_from(DATES), max_size=2),
)
temporal_updates = st.builds(
    lambda date, events: memories.TemporalContextUpdate(**date, **events),
    st.one_of(
        st.just({}),
        st.sampled_from(DATES).map(lambda date: {"document_date": date}),
        st.just({"clear_document_date": True}),
    ),
    st.one_of(
        st.just({}),
        some(st.sampled_from(DATES), 2).map(lambda dates: {"event_dates": dates}),
        st.just({"clear_event_dates": True}),
    ),
)


def _new_memories(**further: Strategy) -> Strategy:
    return built(
        memories.NewMemory,
        content=words,
        metadata=optional(metadata),
        is_static=maybe,
        temporal_context=optional(temporal),
        **further,
    )


ahead = st.sampled_from([10, DAY // 24, DAY, 400 * DAY]).map(stamp)
new_memories = _new_memories(source_document_id=optional(names, 4)) | _new_memories(
    forget_after=offsets, forget_reason=st.sampled_from(["", "stale by then"])
)
creates = built(
    memories.CreateMemoriesRequest,
    container_tag=optional(st.sampled_from(TAGS)),
    memories=some(new_memories),
    request_id=request_ids,
)
first_creates = built(
    memories.CreateMemoriesRequest,
    container_tag=optional(st.sampled_from(TAGS)),
    memories=st.lists(
        _new_memories(forget_after=optional(ahead), source_document_id=optional(places(9))),
        min_size=3,
        max_size=5,
    ),
)
elsewhere = optional(st.sampled_from(TAGS), 12)
"""Mostly absent: then the container is that of the memory."""


def targeted(message: Any, **further: Strategy) -> Strategy:
    """About one memory: by id, by content, or by both."""
    common = {
        "container_tag": elsewhere,
        "etag": etags,
        "request_id": request_ids,
        **further,
    }
    by_id = built(message, id=names, **common)
    if "content" not in message.DESCRIPTOR.fields_by_name:
        return by_id
    by_content = built(message, content=names | names | words, **common)
    by_both = built(message, id=names, content=names | names | words, **common)
    return st.one_of(by_id, by_id, by_id, by_content, by_both)


schedule_changes: Strategy = st.one_of(
    st.just({}),
    st.just({}),
    offsets.map(lambda offset: {"forget_after": offset}),
    st.just({"clear_forget_after": True}),
)


memory_updates = filled(
    targeted(
        memories.UpdateMemoryRequest,
        new_content=words,
        forget_reason=optional(st.sampled_from(["", "other reason"]), 3),
        metadata=optional(metadata),
        temporal_context=optional(temporal_updates),
        is_static=optional(maybe),
    ),
    schedule_changes,
)
forgets = targeted(memories.ForgetMemoryRequest, reason=optional(st.just("no longer true")))
restores = filled(targeted(memories.RestoreMemoryRequest), schedule_changes)
memory_deletes = targeted(memories.DeleteMemoryRequest, allow_missing=maybe)
forget_manys = st.one_of(
    [
        built(
            memories.ForgetMemoriesRequest,
            container_tag=optional(st.sampled_from(TAGS)),
            max_forget=st.sampled_from([0, 1, 2, 500]),
            reason=optional(st.just("cleared")),
            validate_only=maybe,
            request_id=request_ids,
            **selector,
        )
        for selector in (
            {"ids": some(names)},
            {"filter": of_memories},
            {"query": words, "min_score": st.sampled_from([0.001, 0.001, 0.3, 0.6])},
        )
    ]
)
restore_manys = built(
    memories.RestoreMemoriesRequest,
    container_tag=elsewhere,
    forget_batch_id=places(3),
    request_id=request_ids,
)
memory_gets = built(
    memories.GetMemoryRequest, id=names, container_tag=elsewhere, as_of=optional(past)
)
version_lists = built(
    memories.ListMemoryVersionsRequest, id=names, container_tag=elsewhere, page_size=page_sizes
)
memory_lists = built(
    memories.ListMemoriesRequest,
    container_tags=st.just(list(TAGS)) | tags,
    filter=st.none() | of_memories | of_memories,
    include_forgotten=maybe,
    include_history=maybe,
    order=orders,
    as_of=optional(past),
    page_size=page_sizes,
    source_document_id=optional(places(9), 4),
)
everything = st.just(list(TAGS))
walked_documents = built(
    documents.ListDocumentsRequest, container_tags=optional(everything), order=orders
)
walked_memories = built(
    memories.ListMemoriesRequest,
    container_tags=everything,
    include_forgotten=maybe,
    include_history=optional(st.just(True), 3),
    order=st.sampled_from([2, 2, 1, 3, 4]),
)
"""Lists of so much that others write among it while they are read."""
forget_previews = built(
    memories.ForgetMemoriesRequest,
    container_tag=st.sampled_from(TAGS),
    query=words,
    min_score=st.just(0.001),
    validate_only=st.just(True),
)
floors = st.sampled_from([0.0, 0.0, 0.3, 0.9])
memory_searches = built(
    memories.SearchMemoriesRequest,
    query=words,
    container_tags=st.just(list(TAGS)) | tags,
    filter=st.none() | of_memories | of_memories,
    min_score=floors,
    limit=st.sampled_from([0, 1, 2, 100, 100]),
    as_of=optional(past),
    include_forgotten=maybe,
    include_history=maybe,
    include_chunks=maybe,
    include_score_parts=maybe,
).filter(lambda request: not (request.HasField("as_of") and request.include_chunks))
profiles = built(
    memories.GetProfileRequest,
    container_tag=optional(st.sampled_from(TAGS)),
    query=optional(words),
    filter=optional(of_memories),
    limit=st.sampled_from([0, 1, 2, 100]),
    min_score=floors,
)


# --- containers --------------------------------------------------------------

container_lists = built(
    containers.ListContainersRequest,
    prefix=st.sampled_from(["", "", "a", "a/", "b"]),
    page_size=page_sizes,
)
container_deletes = built(
    containers.DeleteContainerRequest,
    container_tag=st.sampled_from(TAGS),
    validate_only=st.sampled_from([True, True, False]),
    allow_missing=maybe,
    request_id=request_ids,
)

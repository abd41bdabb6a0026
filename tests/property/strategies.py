"""Requests, drawn so that things meet: few names, few words, few keys.

A strategy that refers to what is there takes the model, and draws from its names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from palimpsest.v1 import containers_pb2 as containers
from palimpsest.v1 import documents_pb2 as documents
from palimpsest.v1 import memories_pb2 as memories
from palimpsest.v1.filter_pb2 import Condition, Filter, FilterField, FilterList, MatchCondition
from tests.property.filters import Value
from tests.property.model import Model
from tests.property.tenant import stamp, struct

Strategy = st.SearchStrategy[Any]

TAGS = ("default", "a", "a/b", "B")
LIMITED = frozenset(["default", "a"])
CUSTOM_IDS = ("n1", "n2", "n10", "N1", "x%_", "x_")
WORDS = ("tea", "Tea", "coffee", "Straße", "STRASSE", "tea and coffee", "café", "cafe\u0301")
DATES = ("2026-05-08", "2026-05-08T10:00:00Z", "2026-05-08T12:00:00+02:00", "2027-01-01")
KEYS = ("k", "n", "deep.er", "K")
NUMBERS = (0.0, 2.0, -1.0, 2.5, 1e6)
LOOSE = ("true", "false", "True", "2", "2.0", "2.50", "-1", "0", "", "tea", "1000000")
TEXTS = (*WORDS, *DATES, "true", "2", "", "not a date")
LATELY = "lately:"
"""Begins what stands for an instant in a tree of a filter until the tree is used."""
DAY = 86_400_000_000
UUIDS = st.uuids(version=4).map(str)

maybe = st.booleans()
tags = st.lists(st.sampled_from(TAGS), unique=True, max_size=3)
words = st.sampled_from(WORDS)
values: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.booleans(),
    st.lists(st.sampled_from(WORDS), max_size=3),
)
metadata = st.dictionaries(st.sampled_from(KEYS), values, max_size=3).map(struct)
patches = st.dictionaries(st.sampled_from(KEYS), st.none() | values, max_size=3).map(struct)
orders = st.sampled_from([None, 1, 2, 3, 4])


def optional(strategy: Strategy, among: int = 2) -> Strategy:
    """None, or in one of so many draws something."""
    return st.integers(1, among).flatmap(lambda n: strategy if n == 1 else st.none())


@st.composite
def built(draw: Any, message: Any, **fields: Any) -> Any:
    """A message; a field drawn as None is absent."""
    drawn = {name: draw(strategy) for name, strategy in fields.items()}
    return message(**{name: value for name, value in drawn.items() if value is not None})


def some(strategy: Strategy, most: int = 3) -> Strategy:
    return st.lists(strategy, min_size=1, max_size=most)


def request_ids() -> Strategy:
    return optional(UUIDS, 3)


# --- what is there ---------------------------------------------------------


def among(names: Sequence[str], otherwise: str) -> Strategy:
    """One of the names, the newest more often; `otherwise` when there is none."""
    if not names:
        return st.just(otherwise)
    return st.sampled_from(names[-4:]) | st.sampled_from(names)


def document_names(model: Model) -> Strategy:
    there = model.documents.documents.values()
    by_id = among([document.id for document in there], "nobody")
    by_custom_id = among([d.custom_id for d in there if d.custom_id], "nobody")
    missing = st.sampled_from(["doc_0000000000000000000000", "mem_0000000000000000000000", "n1"])
    return st.integers(0, 9).flatmap(
        lambda n: missing if n == 0 else by_id if n < 6 else by_custom_id
    )


def memory_ids(model: Model, *, forgotten: bool | None = None) -> Strategy:
    """Ids of versions, mostly of latest ones that are or are not forgotten, as asked."""
    there, now = model.memories.versions.values(), model.tenant.now
    missing = st.just("mem_0000000000000000000000")
    latest = [version for version in there if version.state.latest]
    wanted = [
        version.id
        for version in latest
        if forgotten is None or (version.state.forgotten(now) is not None) == forgotten
    ]
    if not latest:
        return missing
    every = st.sampled_from([version.id for version in there])
    fit = among(wanted, latest[-1].id)
    return st.integers(0, 19).flatmap(lambda n: missing if n == 0 else every if n < 4 else fit)


def container_of(model: Model, memory_id: str) -> str:
    version = model.memories.versions.get(memory_id)
    return version.container if version else "default"


@st.composite
def guarded(draw: Any, model: Model, message: Strategy) -> Any:
    """A request that now and then has an etag: one its thing had once, or nonsense."""
    request = draw(message)
    name = getattr(request, "custom_id", "") or getattr(request, "id", "")
    document = model.documents.of_custom_id(name)
    of = f"etag#{document.id if document else name}#"
    known = [etag for etag in model.tenant.seen_etags if etag.startswith(of)]
    match draw(st.integers(0, 9)):
        case 0:
            request.etag = "nonsense"
        case 1 | 2 | 3 if known:
            request.etag = draw(st.sampled_from([*known, known[-1], known[-1]]))
    return request


def instants(model: Model) -> Strategy:
    """Instants a little or far ahead of now, and seldom behind it."""
    ahead = st.sampled_from([-1, 0, *[1, 2, 3, 1000, DAY // 24, DAY, 400 * DAY] * 3])
    return ahead.map(lambda microseconds: stamp(model.tenant.now + 1 + microseconds))


def moments(model: Model, known: Sequence[int]) -> Strategy:
    """Instants in the past at which something was or was about to be; seldom ahead."""
    offsets = st.sampled_from([-1, 0, 0, 0, 1])
    past = st.sampled_from(known or [model.tenant.now])
    ahead = st.just(model.tenant.now + 2 * DAY)
    chosen = st.integers(0, 9).flatmap(lambda n: ahead if n == 0 else past)
    return st.tuples(chosen, offsets).map(lambda pair: stamp(pair[0] + pair[1]))


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
    moments = st.integers(1, 12).map(lambda back: f"{LATELY}{back}")
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
    )

    def wider(inner: Strategy) -> Strategy:
        operands = built(FilterList, filters=some(inner))
        return (
            built(Filter, all_of=operands)
            | built(Filter, any_of=operands)
            | built(Filter, negated=inner)
        )

    return leaves | wider(leaves) | wider(wider(leaves))


_OF_DOCUMENTS = _trees(of_memories=False)
_OF_MEMORIES = _trees(of_memories=True)


@st.composite
def filters(draw: Any, known: Sequence[int], *, of_memories: bool) -> Filter:
    """A filter; instants it compares with are among those `known`, or dates."""
    drawn: Filter = draw(_OF_MEMORIES if of_memories else _OF_DOCUMENTS)
    _date(drawn, known)
    return drawn


def _date(filter_: Filter, known: Sequence[int]) -> None:
    """Put real instants where the tree was drawn with places among the known ones."""
    for inner in (*filter_.all_of.filters, *filter_.any_of.filters):
        _date(inner, known)
    if filter_.HasField("negated"):
        _date(filter_.negated, known)
    if filter_.HasField("condition"):
        condition = filter_.condition
        test = str(condition.WhichOneof("test"))
        given = getattr(condition, test)
        if isinstance(given, str) and given.startswith(LATELY):
            back = min(int(given.removeprefix(LATELY)), len(known))
            made = stamp(known[-back])
            assert made is not None
            setattr(condition, test, made.ToJsonString())


# --- documents ---------------------------------------------------------------


@st.composite
def dated(draw: Any, message: Strategy) -> Any:
    """A message with a document date, with its removal, or with neither."""
    drawn = draw(message)
    match draw(st.integers(0, 3)):
        case 0:
            drawn.document_date.CopyFrom(draw(st.sampled_from([0, DAY, 20_000 * DAY]).map(stamp)))
        case 1:
            drawn.clear_document_date = True
    return drawn


def upserts(model: Model, *, request_id: Strategy | None = None) -> Strategy:
    fields = {
        "content": words,
        "custom_id": st.sampled_from([None, *CUSTOM_IDS]),
        "container_tags": tags | st.just([]),
        "metadata": optional(patches),
        "title": optional(st.sampled_from(["", "T", "Ü"])),
        "mode": optional(st.sampled_from([1, 2, 3]), 4),
    }
    if request_id is not None:
        fields["request_id"] = request_id
    drawn = dated(built(documents.UpsertDocumentRequest, **fields))
    return guarded(model, drawn.filter(lambda request: request.custom_id or not request.mode))


def batches(model: Model, least: int = 1) -> Strategy:
    return built(
        documents.BatchUpsertDocumentsRequest,
        items=st.lists(upserts(model), min_size=least, max_size=4),
        request_id=request_ids(),
    )


def updates(model: Model) -> Strategy:
    drawn = built(
        documents.UpdateDocumentRequest,
        id=document_names(model),
        content=optional(words),
        metadata=optional(patches),
        container_tags=tags | st.just([]),
        title=optional(st.sampled_from(["", "T"])),
        request_id=request_ids(),
    )
    return guarded(model, dated(drawn))


def document_reads(model: Model, message: Any) -> Strategy:
    return built(message, id=document_names(model))


def document_deletes(model: Model) -> Strategy:
    drawn = built(
        documents.DeleteDocumentRequest,
        id=document_names(model),
        allow_missing=maybe,
        request_id=request_ids(),
    )
    return guarded(model, drawn)


def bulk_deletes(model: Model) -> Strategy:
    selectors = st.lists(document_names(model), min_size=1, max_size=4, unique=True).map(
        lambda ids: {"ids": ids}
    ) | st.lists(st.sampled_from(TAGS), min_size=1, max_size=2, unique=True).map(
        lambda tags: {"container_tags": tags}
    )
    return st.builds(
        lambda selector, preview, request_id: documents.BulkDeleteDocumentsRequest(
            validate_only=preview, request_id=request_id or "", **selector
        ),
        selectors,
        maybe,
        request_ids(),
    )


def document_lists(known: Sequence[int]) -> Strategy:
    return built(
        documents.ListDocumentsRequest,
        container_tags=tags | st.just([]),
        match_all_containers=maybe,
        filter=optional(filters(known, of_memories=False)),
        statuses=st.sampled_from([[], [], [1], [6], [1, 6]]),
        custom_id_prefix=st.sampled_from(["", "", "n1", "x_", "x%", "N"]),
        order=orders,
        page_size=st.sampled_from([0, 1, 2, 3]),
        include_content=maybe,
    )


# --- memories ----------------------------------------------------------------

temporal = built(
    memories.TemporalContext,
    document_date=optional(st.sampled_from(DATES)),
    event_dates=st.lists(st.sampled_from(DATES), max_size=2),
)


@st.composite
def temporal_updates(draw: Any) -> memories.TemporalContextUpdate:
    change = memories.TemporalContextUpdate()
    match draw(st.integers(0, 2)):
        case 0:
            change.document_date = draw(st.sampled_from(DATES))
        case 1:
            change.clear_document_date = True
    match draw(st.integers(0, 2)):
        case 0:
            change.event_dates.extend(draw(some(st.sampled_from(DATES), 2)))
        case 1:
            change.clear_event_dates = True
    return change


@st.composite
def scheduled(draw: Any, model: Model, message: Strategy) -> Any:
    """A message with a schedule, with its removal, or with neither."""
    drawn = draw(message)
    match draw(st.integers(0, 4)):
        case 0:
            drawn.clear_forget_after = True
        case 1 | 2:
            drawn.forget_after.CopyFrom(draw(instants(model)))
    return drawn


@st.composite
def new_memories(draw: Any, model: Model) -> memories.NewMemory:
    made = draw(
        built(
            memories.NewMemory,
            content=words,
            metadata=optional(metadata),
            is_static=maybe,
            forget_after=optional(instants(model)),
            temporal_context=optional(temporal),
            source_document_id=optional(document_names(model), 5),
        )
    )
    if made.HasField("forget_after"):
        made.forget_reason = draw(st.sampled_from(["", "stale by then"]))
    if made.source_document_id.startswith("mem_"):
        made.source_document_id = ""
    return made


def creates(model: Model, least: int = 1) -> Strategy:
    return built(
        memories.CreateMemoriesRequest,
        container_tag=optional(st.sampled_from(TAGS)),
        memories=st.lists(new_memories(model), min_size=least, max_size=4),
        request_id=request_ids(),
    )


@st.composite
def targeted(draw: Any, model: Model, message: Any, forgotten: bool | None, **fields: Any) -> Any:
    """A request about one memory: by id, by content, or by both."""
    name = draw(memory_ids(model, forgotten=forgotten))
    container = container_of(model, name)
    if draw(st.integers(0, 9)) == 0:
        container = draw(st.sampled_from(TAGS))
    request = draw(built(message, request_id=request_ids(), **fields))
    request.container_tag = container
    if not hasattr(request, "content") or draw(st.integers(0, 2)):
        request.id = name
    if hasattr(request, "content") and (not request.id or draw(st.integers(0, 4)) == 0):
        version = model.memories.versions.get(name)
        request.content = version.content if version and draw(maybe) else draw(words)
    return draw(guarded(model, st.just(request)))


def memory_updates(model: Model) -> Strategy:
    return scheduled(
        model,
        targeted(
            model,
            memories.UpdateMemoryRequest,
            forgotten=False,
            new_content=words,
            forget_reason=optional(st.sampled_from(["", "other reason"]), 3),
            metadata=optional(metadata),
            temporal_context=optional(temporal_updates()),
            is_static=optional(maybe),
        ),
    )


def forgets(model: Model) -> Strategy:
    reasons = optional(st.just("no longer true"))
    return targeted(model, memories.ForgetMemoryRequest, forgotten=False, reason=reasons)


def restores(model: Model) -> Strategy:
    return scheduled(model, targeted(model, memories.RestoreMemoryRequest, forgotten=True))


def memory_deletes(model: Model) -> Strategy:
    return targeted(model, memories.DeleteMemoryRequest, forgotten=None, allow_missing=maybe)


@st.composite
def forget_manys(draw: Any, model: Model, known: Sequence[int]) -> memories.ForgetMemoriesRequest:
    request = draw(
        built(
            memories.ForgetMemoriesRequest,
            max_forget=st.sampled_from([0, 1, 2, 500]),
            reason=optional(st.just("cleared")),
            validate_only=maybe,
            request_id=request_ids(),
        )
    )
    name = draw(memory_ids(model))
    request.container_tag = container_of(model, name)
    if draw(maybe):
        inside = [v.id for v in model.memories.remembered(request.container_tag)]
        ids = draw(st.lists(among(inside, name), min_size=1, max_size=3, unique=True))
        if draw(st.integers(0, 3)) == 0 and name not in ids:
            ids.append(name)
        request.ids.extend(ids)
    else:
        request.filter.CopyFrom(draw(filters(known, of_memories=True)))
    return request


@st.composite
def restore_manys(draw: Any, model: Model) -> memories.RestoreMemoriesRequest:
    known = model.memories.batches
    batch = draw(st.sampled_from(sorted(known) or ["forget_batch_of_nothing"]))
    container = known[batch][0] if known else "default"
    if draw(st.integers(0, 9)) == 0:
        container = draw(st.sampled_from(TAGS))
    return memories.RestoreMemoriesRequest(
        container_tag=container, forget_batch_id=batch, request_id=draw(request_ids()) or ""
    )


@st.composite
def memory_reads(draw: Any, model: Model, known: Sequence[int]) -> memories.GetMemoryRequest:
    name = draw(memory_ids(model) | st.just("doc_0000000000000000000000"))
    request = memories.GetMemoryRequest(id=name, container_tag=container_of(model, name))
    as_of = draw(optional(moments(model, known)))
    if as_of is not None:
        request.as_of.CopyFrom(as_of)
    return request


@st.composite
def version_lists(draw: Any, model: Model) -> memories.ListMemoryVersionsRequest:
    name = draw(memory_ids(model))
    return memories.ListMemoryVersionsRequest(
        id=name, container_tag=container_of(model, name), page_size=draw(st.integers(0, 2))
    )


def memory_lists(model: Model, known: Sequence[int]) -> Strategy:
    return built(
        memories.ListMemoriesRequest,
        container_tags=tags | st.just(list(TAGS)),
        filter=optional(filters(known, of_memories=True)),
        include_forgotten=maybe,
        include_history=maybe,
        order=orders,
        as_of=optional(moments(model, known)),
        page_size=st.sampled_from([0, 1, 2, 3]),
    )


# --- containers --------------------------------------------------------------

container_lists = built(
    containers.ListContainersRequest,
    prefix=st.sampled_from(["", "", "a", "a/", "b"]),
    page_size=st.integers(0, 2),
)


def container_deletes() -> Strategy:
    return built(
        containers.DeleteContainerRequest,
        container_tag=st.sampled_from(TAGS),
        validate_only=st.sampled_from([True, True, False]),
        allow_missing=maybe,
        request_id=request_ids(),
    )

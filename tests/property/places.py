"""What stands at the places that a request was drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from palimpsest.v1 import memories_pb2 as memories
from palimpsest.v1.filter_pb2 import Filter
from tests.property.model import Model
from tests.property.model_memories import Version
from tests.property.tenant import stamp

PLACE = "?"
"""Begins a place: the number behind it counts back from the newest."""

DAY = 86_400_000_000
NO_DOCUMENTS = ("doc_0000000000000000000000", "nobody", "mem_0000000000000000000000")
NO_MEMORY = "mem_0000000000000000000000"
NO_BATCH = "fgt_0000000000000000000000"

WRITES_REMEMBERED = (
    memories.UpdateMemoryRequest,
    memories.ForgetMemoryRequest,
    memories.ForgetMemoriesRequest,
)


def settle(request: Any, model: Model, known: Sequence[int]) -> Any:
    """The request, with names and instants in its places.

    Args:
        request: As it was drawn; it is changed.
        model: What is there.
        known: Instants at which something was asked.
    """
    fields = request.DESCRIPTOR.fields_by_name
    if "items" in fields:
        for item in request.items:
            settle(item, model, known)
    if "memories" in fields:
        for new in request.memories:
            _settle_new(new, model)
    if getattr(request, "source_document_id", ""):
        request.source_document_id = _document(request.source_document_id, model)
    if "as_of" in fields and request.HasField("as_of"):
        _settle_moment(request, model, known)
    if "filter" in fields and request.HasField("filter"):
        _settle_filter(request.filter, known)
    if "Memor" in request.DESCRIPTOR.name:
        _settle_memory_names(request, model, known)
    else:
        _settle_document_names(request, model)
    if getattr(request, "etag", ""):
        _settle_etag(request, model)
    return request


def _back(place: str, among: Sequence[str], otherwise: str) -> str:
    """The name at a place; beyond the oldest it begins anew."""
    if not among:
        return otherwise
    return among[-1 - int(place.removeprefix(PLACE)) % len(among)]


def _settle_new(new: memories.NewMemory, model: Model) -> None:
    if new.source_document_id:
        new.source_document_id = _document(new.source_document_id, model, NO_DOCUMENTS[:2])
    if new.HasField("forget_after"):
        _settle_schedule(new, model)


def _settle_schedule(request: Any, model: Model) -> None:
    """Schedules are drawn as microseconds ahead of the call."""
    ahead = request.forget_after.ToMicroseconds()
    request.forget_after.FromMicroseconds(model.tenant.now + 1 + ahead)


def _settle_moment(request: Any, model: Model, known: Sequence[int]) -> None:
    """Mostly when something was asked, or right before or after it; seldom ahead."""
    back, near = divmod(request.as_of.ToMicroseconds(), 3)
    moment = known[-1 - back % len(known)] + near - 1 if known else model.tenant.now
    request.as_of.FromMicroseconds(moment if back else model.tenant.now + 2 * DAY)


def _settle_filter(filter_: Filter, known: Sequence[int]) -> None:
    for inner in (*filter_.all_of.filters, *filter_.any_of.filters):
        _settle_filter(inner, known)
    if filter_.HasField("negated"):
        _settle_filter(filter_.negated, known)
    if filter_.HasField("condition"):
        test = str(filter_.condition.WhichOneof("test"))
        given = getattr(filter_.condition, test)
        if isinstance(given, str) and given.startswith(PLACE):
            made = stamp(int(_back(given, [str(moment) for moment in known], "0")))
            assert made is not None
            setattr(filter_.condition, test, made.ToJsonString())


def _document(place: str, model: Model, missing: Sequence[str] = NO_DOCUMENTS) -> str:
    """An id, a custom id, or now and then neither."""
    there = list(model.documents.documents.values())
    number = int(place.removeprefix(PLACE))
    if number > 21 or not there:
        return missing[number % len(missing)]
    document = there[-1 - number // 2 % len(there)]
    return (number % 2 and document.custom_id) or document.id


def _settle_document_names(request: Any, model: Model) -> None:
    if getattr(request, "id", "").startswith(PLACE):
        request.id = _document(request.id, model)
    if getattr(request, "ids", ()):
        named = dict.fromkeys(_document(place, model) for place in request.ids)
        request.ids[:] = named


def _settle_memory_names(request: Any, model: Model, known: Sequence[int]) -> None:
    fields = request.DESCRIPTOR.fields_by_name
    place = getattr(request, "id", "") or getattr(request, "content", "")
    version = _version(place, request, model) if place.startswith(PLACE) else None
    if getattr(request, "id", ""):
        request.id = version.id if version else NO_MEMORY
    if getattr(request, "content", "").startswith(PLACE):
        request.content = version.content if version else "nothing"
    if "id" in fields and version and not request.container_tag:
        request.container_tag = version.container
    if "forget_batch_id" in fields:
        request.forget_batch_id = _back(
            request.forget_batch_id, [*model.memories.batches], NO_BATCH
        )
        container, _ = model.memories.batches.get(request.forget_batch_id, ("", ()))
        request.container_tag = request.container_tag or container
    if "ids" in fields and request.ids:
        found = [_version(place, request, model) for place in request.ids]
        request.ids[:] = dict.fromkeys(v.id if v else NO_MEMORY for v in found)
        if not request.container_tag and found[0]:
            request.container_tag = found[0].container
    if "forget_after" in fields and request.HasField("forget_after"):
        _settle_schedule(request, model)


def _version(place: str, request: Any, model: Model) -> Version | None:
    """A version, mostly one that the request can be about; None now and then."""
    number, now = int(place.removeprefix(PLACE)), model.tenant.now
    there = list(model.memories.versions.values())
    fit = [
        version
        for version in there
        if version.state.latest
        and (not isinstance(request, WRITES_REMEMBERED) or not version.state.forgotten(now))
        and (not isinstance(request, memories.RestoreMemoryRequest) or version.state.forgotten(now))
    ]
    if number == 23 or not there:
        return None
    among = there if number % 6 == 5 or not fit else fit
    return among[-1 - number % len(among)]


def _settle_etag(request: Any, model: Model) -> None:
    """Now and then an etag that the thing had once, mostly the last; or nonsense."""
    name = getattr(request, "custom_id", "") or getattr(request, "id", "")
    found = model.documents.of_custom_id(name)
    of = f"etag#{found[0].id if found else name}#"
    etags = [etag for etag in model.tenant.seen_etags if etag.startswith(of)]
    number = int(request.etag.removeprefix(PLACE))
    request.etag = _back(f"{PLACE}{number // 2}", etags, "") if number < 4 else "nonsense"

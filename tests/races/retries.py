"""Every mutation, sent 64 times at once with one request_id: one effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import uuid4

from google.protobuf.message import Message

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.races.race_tenant import CALLERS, TAG, RaceTenant, outcomes
from tests.wire import OK

Prepared: TypeAlias = tuple[Message, int]
"""A request without its request_id, and how many revisions its one effect takes."""

MANY: Final = 5


def _documents(race_tenant: RaceTenant, count: int = MANY) -> list[str]:
    items = [
        d.UpsertDocumentRequest(content=f"text {n}", custom_id=f"c{n}", container_tags=[TAG])
        for n in range(count)
    ]
    race_tenant.ask(d.BatchUpsertDocumentsRequest(items=items))
    return [item.custom_id for item in items]


def _memory(race_tenant: RaceTenant) -> str:
    return race_tenant.remember("first")[0].id


def _upsert(race_tenant: RaceTenant) -> Prepared:
    return d.UpsertDocumentRequest(content="text"), 1


def _batch(race_tenant: RaceTenant) -> Prepared:
    items = [d.UpsertDocumentRequest(content=f"text {n}") for n in range(MANY)]
    return d.BatchUpsertDocumentsRequest(items=items), MANY


def _update_document(race_tenant: RaceTenant) -> Prepared:
    name, *_ = _documents(race_tenant, 1)
    return d.UpdateDocumentRequest(id=name, content="other"), 1


def _append(race_tenant: RaceTenant) -> Prepared:
    messages = [d.ConversationMessage(text=f"message {n}") for n in range(MANY)]
    request = d.AppendMessagesRequest(id="talk", messages=messages, create_if_missing=True)
    race_tenant.ask(request)
    return request, 1


def _begin(race_tenant: RaceTenant) -> Prepared:
    messages = [d.ConversationMessage(text=f"message {n}") for n in range(MANY)]
    return d.AppendMessagesRequest(id="talk", messages=messages, create_if_missing=True), 1


def _delete_document(race_tenant: RaceTenant) -> Prepared:
    name, *_ = _documents(race_tenant, 1)
    return d.DeleteDocumentRequest(id=name), 1


def _delete_ids(race_tenant: RaceTenant) -> Prepared:
    return d.BulkDeleteDocumentsRequest(ids=[*_documents(race_tenant), "missing"]), MANY


def _delete_by_container(race_tenant: RaceTenant) -> Prepared:
    _documents(race_tenant, 3)
    _documents(race_tenant)
    return d.BulkDeleteDocumentsRequest(container_tags=[TAG]), MANY


def _delete_container(race_tenant: RaceTenant) -> Prepared:
    _documents(race_tenant)
    _memory(race_tenant)
    return c.DeleteContainerRequest(container_tag=TAG), MANY + 2


def _create(race_tenant: RaceTenant) -> Prepared:
    memories = [m.NewMemory(content=f"memory {n}") for n in range(MANY)]
    return m.CreateMemoriesRequest(container_tag=TAG, memories=memories), MANY


def _update(race_tenant: RaceTenant) -> Prepared:
    target = _memory(race_tenant)
    return m.UpdateMemoryRequest(container_tag=TAG, id=target, new_content="next"), 1


def _forget(race_tenant: RaceTenant) -> Prepared:
    return m.ForgetMemoryRequest(container_tag=TAG, id=_memory(race_tenant)), 1


def _restore(race_tenant: RaceTenant) -> Prepared:
    target = _memory(race_tenant)
    race_tenant.ask(m.ForgetMemoryRequest(container_tag=TAG, id=target))
    return m.RestoreMemoryRequest(container_tag=TAG, id=target), 1


def _forget_many(race_tenant: RaceTenant) -> Prepared:
    made = race_tenant.remember(*(f"memory {n}" for n in range(MANY)))
    return m.ForgetMemoriesRequest(container_tag=TAG, ids=[r.id for r in made]), MANY


def _forget_found(race_tenant: RaceTenant) -> Prepared:
    race_tenant.remember(*(f"quinces in jar {n}" for n in range(MANY)))
    request = m.ForgetMemoriesRequest(container_tag=TAG, query="quinces", min_score=1e-9)
    return request, MANY


def _restore_many(race_tenant: RaceTenant) -> Prepared:
    request, count = _forget_many(race_tenant)
    batch = race_tenant.ask(request).forget_batch_id
    return m.RestoreMemoriesRequest(container_tag=TAG, forget_batch_id=batch), count


def _delete(race_tenant: RaceTenant) -> Prepared:
    return m.DeleteMemoryRequest(container_tag=TAG, id=_memory(race_tenant)), 1


PREPARATIONS: Final[tuple[Callable[[RaceTenant], Prepared], ...]] = (
    _upsert,
    _batch,
    _update_document,
    _append,
    _begin,
    _delete_document,
    _delete_ids,
    _delete_by_container,
    _delete_container,
    _create,
    _update,
    _forget,
    _restore,
    _forget_many,
    _forget_found,
    _restore_many,
    _delete,
)
"""One for each mutation of the contract, and for each of its ways to choose or to make."""


def one_request_id(race_tenant: RaceTenant, prepare: Callable[[RaceTenant], Prepared]) -> None:
    """64 equal answers, and the revisions of one effect."""
    request, revisions = prepare(race_tenant)
    request.request_id = str(uuid4())  # type: ignore[attr-defined]
    before = race_tenant.revision()
    answers = race_tenant.race([request] * CALLERS)
    assert outcomes(answers) == {OK: CALLERS}
    assert len({answer.body for answer in answers}) == 1, "receipts differ"
    assert race_tenant.revision() == before + revisions


def one_request_id_for_all(race_tenant: RaceTenant) -> None:
    """64 different requests of two kinds with one request_id: one is done, the others refused."""
    request_id = str(uuid4())
    requests: list[Message] = []
    for n in range(CALLERS // 2):
        memories = [m.NewMemory(content=f"memory {n}")]
        requests += [
            d.UpsertDocumentRequest(content=f"text {n}", request_id=request_id),
            m.CreateMemoriesRequest(memories=memories, request_id=request_id),
        ]
    answers = race_tenant.race(requests)
    assert outcomes(answers) == {OK: 1, "REQUEST_ID_REUSED": CALLERS - 1}
    assert race_tenant.revision() == 1

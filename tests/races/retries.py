"""Every mutation, sent 64 times at once with one request_id: one effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import uuid4

from google.protobuf.message import Message

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.races.arena import CALLERS, TAG, Arena, outcomes
from tests.wire import OK

Prepared: TypeAlias = tuple[Message, int]
"""A request without its request_id, and how many revisions its one effect takes."""

MANY: Final = 5


def _documents(arena: Arena, count: int = MANY) -> list[str]:
    items = [
        d.UpsertDocumentRequest(content=f"text {n}", custom_id=f"c{n}", container_tags=[TAG])
        for n in range(count)
    ]
    arena.ask(d.BatchUpsertDocumentsRequest(items=items))
    return [item.custom_id for item in items]


def _memory(arena: Arena) -> str:
    return arena.remember("first")[0].id


def _upsert(arena: Arena) -> Prepared:
    return d.UpsertDocumentRequest(content="text"), 1


def _batch(arena: Arena) -> Prepared:
    items = [d.UpsertDocumentRequest(content=f"text {n}") for n in range(MANY)]
    return d.BatchUpsertDocumentsRequest(items=items), MANY


def _update_document(arena: Arena) -> Prepared:
    name, *_ = _documents(arena, 1)
    return d.UpdateDocumentRequest(id=name, content="other"), 1


def _append(arena: Arena) -> Prepared:
    messages = [d.ConversationMessage(text=f"message {n}") for n in range(MANY)]
    request = d.AppendMessagesRequest(id="talk", messages=messages, create_if_missing=True)
    arena.ask(request)
    return request, 1


def _begin(arena: Arena) -> Prepared:
    messages = [d.ConversationMessage(text=f"message {n}") for n in range(MANY)]
    return d.AppendMessagesRequest(id="talk", messages=messages, create_if_missing=True), 1


def _delete_document(arena: Arena) -> Prepared:
    name, *_ = _documents(arena, 1)
    return d.DeleteDocumentRequest(id=name), 1


def _delete_ids(arena: Arena) -> Prepared:
    return d.BulkDeleteDocumentsRequest(ids=[*_documents(arena), "missing"]), MANY


def _delete_by_container(arena: Arena) -> Prepared:
    _documents(arena, 3)
    _documents(arena)
    return d.BulkDeleteDocumentsRequest(container_tags=[TAG]), MANY


def _delete_container(arena: Arena) -> Prepared:
    _documents(arena)
    _memory(arena)
    return c.DeleteContainerRequest(container_tag=TAG), MANY + 2


def _create(arena: Arena) -> Prepared:
    memories = [m.NewMemory(content=f"memory {n}") for n in range(MANY)]
    return m.CreateMemoriesRequest(container_tag=TAG, memories=memories), MANY


def _update(arena: Arena) -> Prepared:
    target = _memory(arena)
    return m.UpdateMemoryRequest(container_tag=TAG, id=target, new_content="next"), 1


def _forget(arena: Arena) -> Prepared:
    return m.ForgetMemoryRequest(container_tag=TAG, id=_memory(arena)), 1


def _restore(arena: Arena) -> Prepared:
    target = _memory(arena)
    arena.ask(m.ForgetMemoryRequest(container_tag=TAG, id=target))
    return m.RestoreMemoryRequest(container_tag=TAG, id=target), 1


def _forget_many(arena: Arena) -> Prepared:
    made = arena.remember(*(f"memory {n}" for n in range(MANY)))
    return m.ForgetMemoriesRequest(container_tag=TAG, ids=[r.id for r in made]), MANY


def _forget_found(arena: Arena) -> Prepared:
    arena.remember(*(f"quinces in jar {n}" for n in range(MANY)))
    request = m.ForgetMemoriesRequest(container_tag=TAG, query="quinces", min_score=1e-9)
    return request, MANY


def _restore_many(arena: Arena) -> Prepared:
    request, count = _forget_many(arena)
    batch = arena.ask(request).forget_batch_id
    return m.RestoreMemoriesRequest(container_tag=TAG, forget_batch_id=batch), count


def _delete(arena: Arena) -> Prepared:
    return m.DeleteMemoryRequest(container_tag=TAG, id=_memory(arena)), 1


PREPARATIONS: Final[tuple[Callable[[Arena], Prepared], ...]] = (
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


def one_request_id(arena: Arena, prepare: Callable[[Arena], Prepared]) -> None:
    """64 equal answers, and the revisions of one effect."""
    request, revisions = prepare(arena)
    request.request_id = str(uuid4())  # type: ignore[attr-defined]
    before = arena.revision()
    answers = arena.race([request] * CALLERS)
    assert outcomes(answers) == {OK: CALLERS}
    assert len({answer.body for answer in answers}) == 1, "receipts differ"
    assert arena.revision() == before + revisions


def one_request_id_for_all(arena: Arena) -> None:
    """64 different requests of two kinds with one request_id: one is done, the others refused."""
    request_id = str(uuid4())
    requests: list[Message] = []
    for n in range(CALLERS // 2):
        memories = [m.NewMemory(content=f"memory {n}")]
        requests += [
            d.UpsertDocumentRequest(content=f"text {n}", request_id=request_id),
            m.CreateMemoriesRequest(memories=memories, request_id=request_id),
        ]
    answers = arena.race(requests)
    assert outcomes(answers) == {OK: 1, "REQUEST_ID_REUSED": CALLERS - 1}
    assert arena.revision() == 1

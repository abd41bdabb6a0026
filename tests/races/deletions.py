"""Writes into a container while it is being deleted.

What was written before the deletion began goes, and what is acknowledged after
stays. Nobody is told at which revision it began, but the race can tell: it is the
only writer of its tenant, so the revisions that no write answered are those of
the deletions, and the fixed revision lies before the first of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from palimpsest.v1 import common_pb2
from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.races.callers import Request
from tests.races.race_tenant import CALLERS, TAG, RaceTenant, only
from tests.wire import OK, Answer, read

FILLED = 500
MEMORIES = 60
STEPS = 6


@dataclass
class Written:
    """The last write of each thing: its revision, and what it wrote."""

    revisions: list[int] = field(default_factory=list)
    documents: dict[str, tuple[int, str]] = field(default_factory=dict)
    chains: dict[str, tuple[int, str]] = field(default_factory=dict)

    def document(self, content: str, receipt: d.DocumentReceipt) -> None:
        # By id: one that is written again after it was deleted is another.
        last = self.documents.get(receipt.id, (0, ""))
        self.revisions.append(receipt.revision)
        self.documents[receipt.id] = max(last, (receipt.revision, content))

    def chain(self, root: str, content: str, revision: int) -> None:
        self.revisions.append(revision)
        self.chains[root] = max(self.chains.get(root, (0, "")), (revision, content))


def bulk_delete(race_tenant: RaceTenant) -> None:
    """BulkDeleteDocuments of a container into which 63 callers write documents."""
    written = Written()
    _fill(race_tenant, written)
    deletion = d.BulkDeleteDocumentsRequest(container_tags=[TAG])
    response = read(deletion, _race(race_tenant, deletion, written))
    assert response.completion == common_pb2.COMPLETION_COMPLETE
    deletions = taken(race_tenant, written)
    found = {document.id: document.content for document in race_tenant.documents()}
    lost = judge(written.documents, found, deletions[0])
    assert response.deleted_count == lost == len(deletions)
    assert race_tenant.counted() == (len(found), 0)


def delete_container(race_tenant: RaceTenant) -> None:
    """DeleteContainer, with writes of memories too."""
    written = Written()
    _fill(race_tenant, written)
    contents = [f"memory {n}" for n in range(MEMORIES)]
    for content, receipt in zip(contents, race_tenant.remember(*contents), strict=True):
        written.chain(receipt.id, content, receipt.revision)
    deletion = c.DeleteContainerRequest(container_tag=TAG)
    response = read(deletion, _race(race_tenant, deletion, written))
    assert response.completion == common_pb2.COMPLETION_COMPLETE
    deletions = taken(race_tenant, written)
    found = {document.id: document.content for document in race_tenant.documents()}
    latest = {v.root_memory_id: v.content for v in race_tenant.memories() if v.is_latest}
    documents = judge(written.documents, found, deletions[0])
    chains = judge(written.chains, latest, deletions[0])
    assert (response.deleted_document_count, response.deleted_memory_count) == (documents, chains)
    assert len(deletions) == documents + chains + response.container_deleted
    for root in latest:
        race_tenant.chain(root)
    assert race_tenant.counted() == (len(found), len(latest))


def _fill(race_tenant: RaceTenant, written: Written) -> None:
    items = [
        d.UpsertDocumentRequest(content=f"old {n}", custom_id=f"old{n}", container_tags=[TAG])
        for n in range(FILLED)
    ]
    answer = race_tenant.ask(d.BatchUpsertDocumentsRequest(items=items))
    for item, outcome in zip(items, answer.outcomes, strict=True):
        written.document(item.content, outcome.receipt)


def _race(race_tenant: RaceTenant, deletion: Message, written: Written) -> Answer:
    """The deletion's answer; every write's goes into `written`."""
    roots = list(written.chains)
    scripts = [[Request(deletion, 0.01)]]
    for caller in range(1, CALLERS):
        write = _memory_write if roots and caller % 2 else _document_write
        scripts.append([Request(write(caller, step, roots)) for step in range(STEPS)])
    (answer,), *rest = race_tenant.play(scripts)
    for script, answers in zip(scripts[1:], rest, strict=True):
        only(answers, OK, "MEMORY_NOT_FOUND", "MEMORY_NOT_LATEST")
        for request, got in zip(script, answers, strict=True):
            if got.ok:
                _note(written, request.message, read(request.message, got))
    return answer


def _document_write(caller: int, step: int, roots: list[str]) -> Message:
    old = random.random() < 0.5
    name = f"old{random.randrange(FILLED)}" if old else f"new{caller}-{step}"
    return d.UpsertDocumentRequest(
        content=f"written by {caller}-{step}", custom_id=name, container_tags=[TAG]
    )


def _memory_write(caller: int, step: int, roots: list[str]) -> Message:
    text = f"written by {caller}-{step}"
    if random.random() < 0.5:
        # Of each, the first version only: whoever is not first finds it superseded.
        return m.UpdateMemoryRequest(container_tag=TAG, id=random.choice(roots), new_content=text)
    return m.CreateMemoriesRequest(container_tag=TAG, memories=[m.NewMemory(content=text)])


def _note(written: Written, request: Any, response: Any) -> None:
    if isinstance(request, d.UpsertDocumentRequest):
        written.document(request.content, response.receipt)
    elif isinstance(request, m.UpdateMemoryRequest):
        receipt = response.receipt
        written.chain(receipt.root_memory_id, request.new_content, receipt.revision)
    else:
        (receipt,) = response.receipts
        written.chain(receipt.id, request.memories[0].content, receipt.revision)


def taken(race_tenant: RaceTenant, written: Written) -> list[int]:
    """The revisions that the deletion took."""
    assert len(written.revisions) == len(set(written.revisions)), "a revision was given twice"
    unanswered = sorted(set(range(1, race_tenant.revision() + 1)) - set(written.revisions))
    assert unanswered, "nothing was deleted"
    return unanswered


def judge(last_writes: dict[str, tuple[int, str]], found: dict[str, str], began: int) -> int:
    """How many were deleted: those last written before the deletion began, and no other.

    `began` is the first revision that the deletion took.
    """
    assert found.keys() <= last_writes.keys(), "something nobody wrote"
    for name, content in found.items():
        assert content == last_writes[name][1], f"{name} is not as it was last written"
    lost = [at for name, (at, _) in last_writes.items() if name not in found]
    kept = [at for name, (at, _) in last_writes.items() if name in found]
    assert max(lost, default=0) < began, "a write after the deletion began was lost"
    assert max(lost, default=0) < min(kept, default=began), "what was there before was left"
    return len(lost)

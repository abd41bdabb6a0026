"""The state machine: what may be called, and when time passes."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from palimpsest.v1 import documents_pb2 as documents
from palimpsest.v1 import memories_pb2 as memories
from palimpsest.v1.containers_pb2 import ListContainersRequest
from tests.property import strategies as some
from tests.property.compare import Finding
from tests.property.lab import Kind, Lab
from tests.property.referee import Listing, Referee, Tally
from tests.property.tenant import Refused

KEPT = 23 * 3600 * 1_000_000
"""How long a receipt is surely kept, in microseconds."""


def has_memories(machine: Machine) -> bool:
    return bool(machine.model.memories.versions)


callers: st.SearchStrategy[Kind] = st.sampled_from(["full"] * 12 + ["limited"] * 2 + ["read-only"])


class Machine(RuleBasedStateMachine):
    """Calls in any order, on a tenant that is empty at first."""

    def __init__(self, lab: Lab, tally: Tally) -> None:
        super().__init__()
        self.referee = Referee(lab, tally, some.LIMITED)
        self.model = self.referee.model
        self.listings: list[Listing] = []
        self.sound = True
        tally.examples += 1

    def call(self, method: str, request: Any, caller: Kind = "full") -> None:
        """One call, judged."""
        with self._judged():
            self.referee.call(method, request, self.referee.caller(caller))

    def pages(self, method: str, request: Any, caller: Kind = "full") -> None:
        """One list from end to end, judged."""
        with self._judged():
            self.referee.pages(method, request, self.referee.caller(caller))

    def _judged(self) -> _Judged:
        return _Judged(self)

    # --- documents ---------------------------------------------------------

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.call("BatchUpsertDocuments", data.draw(some.batches(self.model, 3)))
        self.call("CreateMemories", data.draw(some.creates(self.model, 3)))

    @rule(data=st.data(), caller=callers)
    def upsert(self, data: st.DataObject, caller: Kind) -> None:
        request = data.draw(some.upserts(self.model, request_id=some.request_ids()))
        self.call("UpsertDocument", request, caller)

    @rule(data=st.data())
    def batch_upsert(self, data: st.DataObject) -> None:
        self.call("BatchUpsertDocuments", data.draw(some.batches(self.model)))

    @rule(data=st.data(), caller=callers)
    def update_document(self, data: st.DataObject, caller: Kind) -> None:
        self.call("UpdateDocument", data.draw(some.updates(self.model)), caller)

    @rule(data=st.data(), caller=callers)
    def delete_document(self, data: st.DataObject, caller: Kind) -> None:
        self.call("DeleteDocument", data.draw(some.document_deletes(self.model)), caller)

    @rule(data=st.data(), caller=callers)
    def bulk_delete(self, data: st.DataObject, caller: Kind) -> None:
        self.call("BulkDeleteDocuments", data.draw(some.bulk_deletes(self.model)), caller)

    @rule(data=st.data(), caller=callers, watch=st.booleans())
    def look_at_document(self, data: st.DataObject, caller: Kind, watch: bool) -> None:
        name = data.draw(some.document_names(self.model))
        if watch:
            self.call("WatchDocument", documents.WatchDocumentRequest(id=name), caller)
        else:
            self.call("GetDocument", documents.GetDocumentRequest(id=name), caller)

    @rule(data=st.data(), caller=callers)
    def list_documents(self, data: st.DataObject, caller: Kind) -> None:
        request = data.draw(some.document_lists(self.referee.moments))
        self.pages("ListDocuments", request, caller)

    # --- memories ----------------------------------------------------------

    @rule(data=st.data(), caller=callers)
    def create_memories(self, data: st.DataObject, caller: Kind) -> None:
        self.call("CreateMemories", data.draw(some.creates(self.model)), caller)

    @precondition(has_memories)
    @rule(data=st.data(), caller=callers)
    def update_memory(self, data: st.DataObject, caller: Kind) -> None:
        self.call("UpdateMemory", data.draw(some.memory_updates(self.model)), caller)

    @precondition(has_memories)
    @rule(data=st.data(), caller=callers)
    def forget_memory(self, data: st.DataObject, caller: Kind) -> None:
        self.call("ForgetMemory", data.draw(some.forgets(self.model)), caller)

    @precondition(has_memories)
    @rule(data=st.data(), caller=callers)
    def restore_memory(self, data: st.DataObject, caller: Kind) -> None:
        self.call("RestoreMemory", data.draw(some.restores(self.model)), caller)

    @precondition(has_memories)
    @rule(data=st.data())
    def forget_memories(self, data: st.DataObject) -> None:
        request = data.draw(some.forget_manys(self.model, self.referee.moments))
        self.call("ForgetMemories", request)

    @precondition(lambda self: self.model.memories.batches)
    @rule(data=st.data())
    def restore_memories(self, data: st.DataObject) -> None:
        self.call("RestoreMemories", data.draw(some.restore_manys(self.model)))

    @precondition(has_memories)
    @rule(data=st.data(), caller=callers)
    def delete_memory(self, data: st.DataObject, caller: Kind) -> None:
        self.call("DeleteMemory", data.draw(some.memory_deletes(self.model)), caller)

    @precondition(has_memories)
    @rule(data=st.data(), caller=callers)
    def get_memory(self, data: st.DataObject, caller: Kind) -> None:
        request = data.draw(some.memory_reads(self.model, self.referee.moments))
        self.call("GetMemory", request, caller)

    @precondition(has_memories)
    @rule(data=st.data(), caller=callers)
    def list_versions(self, data: st.DataObject, caller: Kind) -> None:
        self.pages("ListMemoryVersions", data.draw(some.version_lists(self.model)), caller)

    @rule(data=st.data(), caller=callers)
    def list_memories(self, data: st.DataObject, caller: Kind) -> None:
        request = data.draw(some.memory_lists(self.model, self.referee.moments))
        self.pages("ListMemories", request, caller)

    # --- containers --------------------------------------------------------

    @rule(request=some.container_lists, caller=callers)
    def list_containers(self, request: Any, caller: Kind) -> None:
        self.pages("ListContainers", request, caller)

    @rule(request=some.container_deletes(), caller=callers)
    def delete_container(self, request: Any, caller: Kind) -> None:
        self.call("DeleteContainer", request, caller)

    # --- time --------------------------------------------------------------

    @rule(microseconds=st.sampled_from([2, 1000, some.DAY // 24, some.DAY, 500 * some.DAY]))
    def pass_time(self, microseconds: int) -> None:
        self.referee.pass_time(microseconds)

    @precondition(lambda self: self._schedules())
    @rule(data=st.data(), short_of=st.integers(0, 2))
    def come_close_to_an_expiry(self, data: st.DataObject, short_of: int) -> None:
        """So that the next call is made right before, at, or right after it."""
        now = self.model.tenant.now
        target = data.draw(st.sampled_from(self._schedules())) - short_of
        self.referee.pass_time(max(0, target - now))

    @rule()
    def sweep(self) -> None:
        with self._judged():
            self.referee.sweep()

    def _schedules(self) -> list[int]:
        """Instants of expiry that lie ahead."""
        states = (version.state for version in self.model.memories.versions.values())
        ahead = {state.forget_after or 0 for state in states if state.latest}
        return sorted(instant for instant in ahead if instant > self.model.tenant.now)

    # --- repetitions, and lists left open ------------------------------------

    @precondition(lambda self: self.referee.asked)
    @rule(data=st.data())
    def repeat_a_request(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.referee.asked))
        if self.model.tenant.now - asked.at < KEPT:
            with self._judged():
                self.referee.repeat(asked)

    @precondition(lambda self: self.referee.asked)
    @rule(data=st.data())
    def reuse_a_request_id(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.referee.asked))
        request = data.draw(some.upserts(self.model, request_id=st.just(asked.request.request_id)))
        if self.model.tenant.now - asked.at < KEPT:
            self.call("UpsertDocument", request)

    @rule(data=st.data(), of_memories=st.booleans())
    def leave_a_list_open(self, data: st.DataObject, of_memories: bool) -> None:
        known = self.referee.moments
        method, request = (
            ("ListMemories", data.draw(some.memory_lists(self.model, known)))
            if of_memories
            else ("ListDocuments", data.draw(some.document_lists(known)))
        )
        request.page_size = 1
        with self._judged():
            listing = self.referee.open(method, request)
        if listing is not None and listing.token:
            self.listings.append(listing)

    @precondition(lambda self: self.listings)
    @rule(data=st.data())
    def turn_a_page(self, data: st.DataObject) -> None:
        listing = data.draw(st.sampled_from(self.listings))
        with self._judged():
            self.referee.turn(listing)
        if not listing.token:
            self.listings.remove(listing)

    def teardown(self) -> None:
        """Everything once more from end to end, and the database's own invariants."""
        if not self.sound:
            return
        tags = list(some.TAGS)
        everything = memories.ListMemoriesRequest(
            container_tags=tags, include_forgotten=True, include_history=True
        )
        self.pages("ListMemories", everything)
        self.pages("ListDocuments", documents.ListDocumentsRequest(include_content=True))
        self.pages("ListContainers", ListContainersRequest())
        if findings := self.referee.lab.check():
            raise Finding("\n".join(findings))


class _Judged:
    """Remembers that a finding was made: the end then needs no look."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._machine.sound = False

"""The state machine: what may be called, and when time passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from palimpsest.v1 import documents_pb2 as documents
from palimpsest.v1 import memories_pb2 as memories
from palimpsest.v1.containers_pb2 import ListContainersRequest
from tests.property import strategies as some
from tests.property.compare import FindingError
from tests.property.lab import Kind, Lab
from tests.property.referee import Listing, Referee, Tally

LOOKS_BACK = 4
"""How often the end of an example looks into the past, about."""

KEPT = 23 * 3600 * 1_000_000
"""How long a receipt is surely kept, in microseconds."""

Draw = Callable[[Referee], Any]
"""A strategy of requests that refer to what is there."""

WRITES: Mapping[str, Mapping[str, tuple[int, Draw]]] = {
    "documents": {
        "UpsertDocument": (6, lambda r: some.upserts(r.model, request_id=some.request_ids())),
        "BatchUpsertDocuments": (2, lambda r: some.batches(r.model)),
        "UpdateDocument": (5, lambda r: some.updates(r.model)),
        "DeleteDocument": (2, lambda r: some.document_deletes(r.model)),
        "BulkDeleteDocuments": (1, lambda r: some.bulk_deletes(r.model)),
    },
    "memories": {
        "CreateMemories": (3, lambda r: some.creates(r.model)),
        "UpdateMemory": (6, lambda r: some.memory_updates(r.model)),
        "ForgetMemory": (3, lambda r: some.forgets(r.model)),
        "RestoreMemory": (4, lambda r: some.restores(r.model)),
        "ForgetMemories": (3, lambda r: some.forget_manys(r.model, r.moments)),
        "RestoreMemories": (3, lambda r: some.restore_manys(r.model)),
        "DeleteMemory": (1, lambda r: some.memory_deletes(r.model)),
    },
}
"""By part: how often a method is called, and with what."""

READS: Mapping[str, Draw] = {
    "GetDocument": lambda r: some.document_reads(r.model, documents.GetDocumentRequest),
    "WatchDocument": lambda r: some.document_reads(r.model, documents.WatchDocumentRequest),
    "GetMemory": lambda r: some.memory_reads(r.model, r.moments),
}
LISTS: Mapping[str, Draw] = {
    "ListDocuments": lambda r: some.document_lists(r.moments),
    "ListMemories": lambda r: some.memory_lists(r.model, r.moments),
    "ListMemoryVersions": lambda r: some.version_lists(r.model),
    "ListContainers": lambda r: some.container_lists,
}

callers: st.SearchStrategy[Kind] = st.sampled_from(["full"] * 7 + ["limited"] * 2 + ["read-only"])


def writes(part: str) -> st.SearchStrategy[str]:
    """Methods of the part, the frequent ones more often."""
    return st.sampled_from([m for m, (weight, _) in WRITES[part].items() for _ in range(weight)])


class Machine(RuleBasedStateMachine):
    """Calls in any order, on a tenant that is empty at first.

    There are few rules, because hypothesis leaves out some of them in each example.
    """

    def __init__(self, lab: Lab, tally: Tally) -> None:
        super().__init__()
        self.referee = Referee(lab, tally, some.LIMITED)
        self.model = self.referee.model
        self.listings: list[Listing] = []
        self.sound = True
        tally.examples += 1

    @contextmanager
    def judged(self) -> Iterator[Referee]:
        """The referee; after a finding the end of the example needs no look."""
        self.sound = False
        yield self.referee
        self.sound = True

    def call(self, method: str, request: Any, caller: Kind = "full") -> None:
        with self.judged() as referee:
            referee.call(method, request, referee.caller(caller))

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.call("BatchUpsertDocuments", data.draw(some.batches(self.model, least=3)))
        self.call("CreateMemories", data.draw(some.creates(self.model, least=3)))

    @rule(data=st.data(), method=writes("documents"), caller=callers)
    def write_documents(self, data: st.DataObject, method: str, caller: Kind) -> None:
        self.call(method, data.draw(WRITES["documents"][method][1](self.referee)), caller)

    @rule(data=st.data(), method=writes("memories"), caller=callers)
    def write_memories(self, data: st.DataObject, method: str, caller: Kind) -> None:
        self.call(method, data.draw(WRITES["memories"][method][1](self.referee)), caller)

    @rule(request=some.container_deletes(), caller=callers)
    def delete_container(self, request: Any, caller: Kind) -> None:
        self.call("DeleteContainer", request, caller)

    @rule(data=st.data(), method=st.sampled_from(sorted(READS)), caller=callers)
    def read(self, data: st.DataObject, method: str, caller: Kind) -> None:
        self.call(method, data.draw(READS[method](self.referee)), caller)

    @rule(data=st.data(), method=st.sampled_from(sorted(LISTS)), caller=callers)
    def read_list(self, data: st.DataObject, method: str, caller: Kind) -> None:
        request = data.draw(LISTS[method](self.referee))
        with self.judged() as referee:
            referee.pages(method, request, referee.caller(caller))

    @rule(data=st.data(), method=st.sampled_from(sorted(LISTS)))
    def leave_a_list_open(self, data: st.DataObject, method: str) -> None:
        """To read on while others write."""
        request = data.draw(LISTS[method](self.referee))
        request.page_size = 1
        with self.judged() as referee:
            listing = referee.open(method, request)
        if listing is not None and listing.token:
            self.listings.append(listing)

    @precondition(lambda self: self.listings)
    @rule(data=st.data())
    def turn_a_page(self, data: st.DataObject) -> None:
        listing = data.draw(st.sampled_from(self.listings))
        with self.judged() as referee:
            referee.turn(listing)
        if not listing.token:
            self.listings.remove(listing)

    @precondition(lambda self: self.referee.asked)
    @rule(data=st.data(), again=st.booleans())
    def repeat_a_request_id(self, data: st.DataObject, again: bool) -> None:
        """With the same request or with another."""
        asked = data.draw(st.sampled_from(self.referee.asked))
        if self.model.tenant.now - asked.at > KEPT:
            return
        if again:
            with self.judged() as referee:
                referee.repeat(asked)
            return
        request_id = st.just(asked.request.request_id)
        self.call("UpsertDocument", data.draw(some.upserts(self.model, request_id=request_id)))

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
        with self.judged() as referee:
            referee.sweep()

    def _schedules(self) -> list[int]:
        """Instants of expiry that lie ahead."""
        states = (version.state for version in self.model.memories.versions.values())
        ahead = {state.forget_after or 0 for state in states if state.latest}
        return sorted(instant for instant in ahead if instant > self.model.tenant.now)

    def teardown(self) -> None:
        """All there is and was once more, and the database's own invariants."""
        if not self.sound:
            return
        everything = memories.ListMemoriesRequest(
            container_tags=some.TAGS, include_forgotten=True, include_history=True
        )
        referee, known = self.referee, self.referee.moments
        referee.pages("ListMemories", everything)
        for moment in known[len(known) % LOOKS_BACK :: max(1, len(known) // LOOKS_BACK)]:
            everything.as_of.FromMicroseconds(moment)
            referee.pages("ListMemories", everything)
        referee.pages("ListDocuments", documents.ListDocumentsRequest(include_content=True))
        referee.pages("ListContainers", ListContainersRequest())
        if findings := referee.lab.check():
            raise FindingError("\n".join(findings))

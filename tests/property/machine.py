"""The state machine: what may be called, and when time passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from palimpsest.v1 import documents_pb2 as documents
from palimpsest.v1 import memories_pb2 as memories
from palimpsest.v1.containers_pb2 import ListContainersRequest
from tests.property import strategies as some
from tests.property.compare import FindingError
from tests.property.model_comparison import Asked, Listing, ModelComparison, Tally
from tests.property.model_memories import Version
from tests.property.places import settle
from tests.property.sync_harness import Kind, SyncHarness

LOOKS_BACK = 3
"""How often the end of an example looks into the past, about."""

KEPT = 23 * 3600 * 1_000_000
"""How long a receipt is surely kept, in microseconds."""

WRITES: Mapping[str, Mapping[str, tuple[int, some.Strategy]]] = {
    "documents": {
        "UpsertDocument": (6, some.upserts),
        "BatchUpsertDocuments": (2, some.batches),
        "UpdateDocument": (5, some.updates),
        "AppendMessages": (3, some.appends),
        "DeleteDocument": (3, some.document_deletes),
        "BulkDeleteDocuments": (1, some.bulk_deletes),
        "DeleteContainer": (1, some.container_deletes),
    },
    "memories": {
        "CreateMemories": (3, some.creates),
        "UpdateMemory": (6, some.memory_updates),
        "ForgetMemory": (3, some.forgets),
        "RestoreMemory": (4, some.restores),
        "ForgetMemories": (3, some.forget_manys),
        "RestoreMemories": (3, some.restore_manys),
        "DeleteMemory": (1, some.memory_deletes),
    },
}
"""By part: how often a method is called, and with what."""

READS: Mapping[str, some.Strategy] = {
    "GetDocument": some.document_gets,
    "WatchDocument": some.document_watches,
    "GetMemory": some.memory_gets,
}
LISTS: Mapping[str, some.Strategy] = {
    "ListDocuments": some.document_lists,
    "ListMemories": some.memory_lists | some.memory_lists,
    "ListMemoryVersions": some.version_lists,
    "ListContainers": some.container_lists,
}
WALKS: Mapping[str, some.Strategy] = {
    "ListDocuments": some.walked_documents,
    "ListMemories": some.walked_memories,
    "ListMemoryVersions": some.version_lists,
    "ListContainers": some.container_lists,
}
SEARCHES: Mapping[str, some.Strategy] = {
    "SearchMemories": some.memory_searches | some.memory_searches,
    "GetProfile": some.profiles,
    "ForgetMemories": some.forget_previews,
}

Asking = tuple[str, Any]
"""A method and a request."""


def asking(requests: Mapping[str, some.Strategy]) -> st.SearchStrategy[Asking]:
    return st.one_of([st.tuples(st.just(method), drawn) for method, drawn in requests.items()])


def writing(part: str) -> st.SearchStrategy[Asking]:
    """Calls of the part, the frequent ones more often."""
    return st.one_of(
        [
            st.tuples(st.just(method), drawn)
            for method, (weight, drawn) in WRITES[part].items()
            for _ in range(weight)
        ]
    )


callers: st.SearchStrategy[Kind] = st.sampled_from(["full"] * 11 + ["limited"] * 2 + ["read-only"])


class Machine(RuleBasedStateMachine):
    """Calls in any order, on a tenant that is empty at first.

    There are few rules, because hypothesis leaves out some of them in each example.
    """

    def __init__(self, harness: SyncHarness, tally: Tally) -> None:
        super().__init__()
        self.comparison = ModelComparison(harness, tally, some.LIMITED)
        self.model = self.comparison.model
        self.listings: list[Listing] = []
        self.sound = True
        tally.examples += 1

    @contextmanager
    def judged(self) -> Iterator[ModelComparison]:
        """The comparison; after a finding the end of the example needs no look."""
        self.sound = False
        yield self.comparison
        self.sound = True

    def settled(self, request: Any) -> Any:
        return settle(request, self.model, self.comparison.moments)

    def call(self, method: str, request: Any, caller: Kind = "full") -> None:
        with self.judged() as comparison:
            comparison.call(method, self.settled(request), comparison.caller(caller))

    @initialize(batch=some.first_batches, create=some.first_creates)
    def begin(self, batch: Any, create: Any) -> None:
        self.call("BatchUpsertDocuments", batch)
        self.call("CreateMemories", create)

    @rule(askings=some.some(writing("documents"), 4), caller=callers)
    def write_documents(self, askings: list[Asking], caller: Kind) -> None:
        for method, request in askings:
            self.call(method, request, caller)

    @rule(appends=some.some(some.further_appends), again=st.booleans())
    def talk_on(self, appends: list[Any], again: bool) -> None:
        for request in appends:
            self.call("AppendMessages", request)
        if again and self.comparison.asked:
            self._repeat(self.comparison.asked[-1])

    @rule(askings=some.some(writing("memories"), 6), caller=callers)
    def write_memories(self, askings: list[Asking], caller: Kind) -> None:
        for method, request in askings:
            self.call(method, request, caller)

    @rule(askings=some.some(asking(READS)), caller=callers)
    def read(self, askings: list[Asking], caller: Kind) -> None:
        for method, request in askings:
            self.call(method, request, caller)

    @rule(askings=some.some(asking(LISTS)), caller=callers)
    def read_lists(self, askings: list[Asking], caller: Kind) -> None:
        for method, request in askings:
            with self.judged() as comparison:
                comparison.pages(method, self.settled(request), comparison.caller(caller))

    @rule(askings=some.some(asking(SEARCHES)), caller=callers)
    def search(self, askings: list[Asking], caller: Kind) -> None:
        for method, request in askings:
            if method == "ForgetMemories":
                self.call(method, request, caller)
                continue
            with self.judged() as comparison:
                comparison.find(method, self.settled(request), comparison.caller(caller))

    @rule(asking=asking(LISTS))
    def leave_a_list_open(self, asking: Asking) -> None:
        """To read on while others write."""
        method, request = asking
        request.page_size = 1
        with self.judged() as comparison:
            listing = comparison.open(method, self.settled(request))
        if listing is not None and listing.token:
            self.listings.append(listing)

    @precondition(lambda self: self.listings)
    @rule(place=st.integers(0, 9))
    def turn_a_page(self, place: int) -> None:
        listing = self.listings[place % len(self.listings)]
        with self.judged() as comparison:
            comparison.turn(listing)
        if not listing.token:
            self.listings.remove(listing)

    @rule(
        asking=asking(WALKS) | asking({"ListMemories": some.walked_memories}),
        writes=some.some(writing("documents") | writing("memories")),
    )
    def write_between_pages(self, asking: Asking, writes: list[Asking]) -> None:
        """A list that is read to its end, page by page, with a write before each of them."""
        method, request = asking
        request.page_size = 1
        with self.judged() as comparison:
            listing = comparison.open(method, self.settled(request))
        while listing is not None and listing.token:
            if writes:
                self.call(*writes.pop())
            self._update_what_was_listed(listing)
            with self.judged() as comparison:
                comparison.turn(listing)

    def _update_what_was_listed(self, listing: Listing) -> None:
        """The last memory, if it can be."""
        names = {self.comparison.names.ours(thing) for thing in listing.seen[-1:]}
        for version in list(self.model.memories.versions.values()):
            remembered = version.state.forgotten(self.model.tenant.now + 1) is None
            if version.root in names and version.state.latest and remembered:
                request = memories.UpdateMemoryRequest(
                    id=version.id, container_tag=version.container, new_content=some.WORDS[0]
                )
                with self.judged() as comparison:
                    comparison.call("UpdateMemory", request, comparison.caller("full"))

    @precondition(lambda self: self.comparison.asked)
    @rule(place=st.integers(0, 30), other=some.optional(some.upserts, 3))
    def repeat_a_request_id(self, place: int, other: Any) -> None:
        """With the same request or with another."""
        asked = self.comparison.asked[-1 - place % len(self.comparison.asked)]
        if other is None:
            self._repeat(asked)
        elif self._is_kept(asked):
            other.request_id = asked.request.request_id
            self.call("UpsertDocument", other)

    def _is_kept(self, asked: Asked) -> bool:
        return self.model.tenant.now - asked.at <= KEPT

    def _repeat(self, asked: Asked) -> None:
        if self._is_kept(asked):
            with self.judged() as comparison:
                comparison.repeat(asked)

    @rule(microseconds=st.sampled_from([2, 1000, some.DAY // 24, some.DAY, 500 * some.DAY]))
    def pass_time(self, microseconds: int) -> None:
        self.comparison.pass_time(microseconds)

    @precondition(lambda self: self._schedules())
    @rule(place=st.integers(0, 9), short_of=st.integers(0, 2))
    def come_close_to_an_expiry(self, place: int, short_of: int) -> None:
        """And look, right before, at, or right after it."""
        schedules = self._schedules()
        target = schedules[place % len(schedules)] - short_of
        self.comparison.pass_time(max(0, target - self.model.tenant.now))
        for forgotten in (True, False):
            request = memories.ListMemoriesRequest(
                container_tags=some.TAGS, include_forgotten=forgotten
            )
            with self.judged() as comparison:
                comparison.pages("ListMemories", request)

    @rule()
    def sweep(self) -> None:
        with self.judged() as comparison:
            comparison.sweep()

    def _schedules(self) -> list[int]:
        """Instants of expiry that lie ahead."""
        states = (version.state for version in self.model.memories.versions.values())
        ahead = {state.forget_after or 0 for state in states if state.latest}
        return sorted(instant for instant in ahead if instant > self.model.tenant.now)

    def teardown(self) -> None:
        """All there is and was once more, and the database's own invariants."""
        if not self.sound:
            return
        everything = {
            "container_tags": some.TAGS,
            "include_forgotten": True,
            "include_history": True,
        }
        listed = memories.ListMemoriesRequest(**everything)  # type: ignore[arg-type]
        anything = memories.SearchMemoriesRequest(
            query=some.WORDS[0],
            limit=100,
            **everything,  # type: ignore[arg-type]
        )
        comparison, known = self.comparison, self.comparison.moments
        comparison.pages("ListMemories", listed)
        comparison.find("SearchMemories", anything)
        for moment in known[len(known) % LOOKS_BACK :: max(1, len(known) // LOOKS_BACK)]:
            for request in (listed, anything):
                request.as_of.FromMicroseconds(moment)
            comparison.pages("ListMemories", listed)
            comparison.find("SearchMemories", anything)
        listed.ClearField("as_of")
        listed.filter.CopyFrom(some.loosely)
        comparison.pages("ListMemories", listed)
        comparison.pages("ListDocuments", documents.ListDocumentsRequest(filter=some.loosely))
        comparison.pages("ListDocuments", documents.ListDocumentsRequest(include_content=True))
        comparison.pages("ListContainers", ListContainersRequest())
        for version in list(self.model.memories.versions.values())[-1:]:
            self._look_once_more(version)
        if findings := comparison.harness.check():
            raise FindingError("\n".join(findings))

    def _look_once_more(self, version: Version) -> None:
        """At its container: what stands in the profile, and what its text would forget."""
        container = version.container
        self.comparison.find("GetProfile", memories.GetProfileRequest(container_tag=container))
        self.comparison.call(
            "ForgetMemories",
            memories.ForgetMemoriesRequest(
                container_tag=container, query=version.content, min_score=0.001, validate_only=True
            ),
        )

"""Asks the model and the service the same, and holds their answers together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message

from palimpsest.v1.documents_pb2 import GetDocumentRequest
from palimpsest.v1.memories_pb2 import ForgetMemoriesRequest, SearchMemoriesRequest
from tests.property import found
from tests.property.compare import FindingError, Names, check_same, spoken
from tests.property.model import Model
from tests.property.sync_harness import FailedCallError, Kind, SyncHarness
from tests.property.tenant import CODES, LEARN, Caller, RefusedError, Row

DEFAULT_PAGE = 50


@dataclass
class Tally:
    """What was done."""

    examples: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        made, refused = self.calls.total(), self.refusals.total()
        return (
            f"{self.examples} examples, {made} calls of {len(self.calls)} methods, "
            f"{refused} of them refused for {len(self.refusals)} reasons"
        )


@dataclass
class Asked:
    """A call with a request_id that was answered."""

    method: str
    principal: Caller
    request: Any
    answer: Any
    at: int


@dataclass
class Listing:
    """A list that is read page by page while others write.

    Args:
        there: Versions of memories that existed before the first page, in the model's names.
        seen: What was listed. Without history a memory is one thing, whatever its version.
        steady: What matched whenever a page was read.
    """

    method: str
    principal: Caller
    request: Any
    by_update: bool
    revision: int
    there: frozenset[str]
    token: str = ""
    seen: list[str] = field(default_factory=list)
    steady: dict[str, Row] = field(default_factory=dict)

    def identity(self, item: Any) -> str:
        """The name of the thing that an item shows, in the names of the item."""
        if self.method == "ListMemories" and not self.request.include_history:
            return str(item.root_memory_id)
        return getattr(item, "id", "") or str(item.container_tag)


class ModelComparison:
    """One tenant of the harness beside its model."""

    def __init__(self, harness: SyncHarness, tally: Tally, limited: frozenset[str]) -> None:
        self.harness = harness
        self.tally = tally
        self.model = Model()
        self.names = Names(self.model.tenant.seen_etags)
        self._tenant, self._limited = harness.tenant(), limited
        self._callers: dict[Kind, Caller] = {}
        self.asked: list[Asked] = []
        self.moments: list[int] = []
        self.pass_time(1)

    def caller(self, kind: Kind) -> Caller:
        if kind not in self._callers:
            self._callers[kind] = self.harness.caller(self._tenant, kind, self._limited)
        return self._callers[kind]

    def pass_time(self, microseconds: int) -> None:
        self.model.tenant.now = self.harness.clock.pass_microseconds(microseconds)

    def call(self, method: str, request: Any, principal: Caller | None = None) -> Any:
        """The service's answer, once it was found right; None for a right refusal."""
        principal = principal or self.caller("full")
        before = self._begin()
        if isinstance(request, ForgetMemoriesRequest) and request.query:
            self._learn_scores(request)
        try:
            ours = self.model.answer(method, principal, request)
        except RefusedError as refusal:
            self._check_refused(method, principal, request, refusal)
            return None
        assert isinstance(ours, Message)
        answer = self._ask(method, principal, request)
        try:
            check_same(ours, answer, self.names)
            if self.model.tenant.unsettled:
                self._settle(before, answer.revision)
        except FindingError as finding:
            raise FindingError(f"{method} {{{_line(request)}}}: {finding}") from None
        if getattr(request, "request_id", "") and not getattr(request, "validate_only", False):
            self.asked.append(Asked(method, principal, request, answer, self.model.tenant.now))
        return answer

    def repeat(self, asked: Asked) -> None:
        """The same request_id with the same request answers the first receipt."""
        answer = self.call(asked.method, asked.request, asked.principal)
        self.asked.pop()
        if asked.method == "UpdateMemory":  # The model has judged what is not in the receipt.
            answer.memory = asked.answer.memory
            answer.version.CopyFrom(asked.answer.version)
        if answer != asked.answer:
            raise FindingError(
                f"{asked.method} repeated: first {_line(asked.answer)}, then {_line(answer)}"
            )

    def pages(self, method: str, request: Any, principal: Caller | None = None) -> None:
        """A whole list, page after page."""
        listing = self.open(method, request, principal)
        while listing and listing.token:
            self.turn(listing, quick=True)

    def find(self, method: str, request: Any, principal: Caller | None = None) -> None:
        """A search or a profile."""
        principal = principal or self.caller("full")
        self._begin()
        try:
            rows = self._rows(method, principal, request)
        except RefusedError as refusal:
            self._check_refused(method, principal, request, refusal)
            return
        answer = self._ask(method, principal, request)
        try:
            found.judge(request, rows, answer, self.names)
            if answer.revision != self.model.tenant.revision:
                raise FindingError(f"revision {answer.revision}")
        except FindingError as finding:
            raise FindingError(f"{method} {{{_line(request)}}}: {finding}") from None

    def open(self, method: str, request: Any, principal: Caller | None = None) -> Listing | None:
        """The first page of a list; None when it is rightly refused."""
        principal = principal or self.caller("full")
        self._begin()
        try:
            rows = self._rows(method, principal, request)
        except RefusedError as refusal:
            self._check_refused(method, principal, request, refusal)
            return None
        by_update = getattr(request, "order", 0) in (3, 4)
        there = frozenset(self.model.memories.versions)
        listing = Listing(method, principal, request, by_update, self.model.tenant.revision, there)
        listing.steady = self._things(listing, rows)
        self._read(listing, rows)
        return listing

    def turn(self, listing: Listing, *, quick: bool = False) -> None:
        """The next page; `quick`: nothing was written, no time went by."""
        if not quick:
            self._begin()
        self._read(listing, self._rows(listing.method, listing.principal, listing.request))

    def sweep(self) -> None:
        """Record expiries; other tenants of the harness may have some too."""
        self._begin()
        ours, theirs = self.model.memories.sweep(), self.harness.sweep()
        if theirs < ours:
            raise FindingError(f"of {ours} expiries due, the sweep recorded {theirs}")

    def _begin(self) -> int:
        self.pass_time(1)
        self.moments.append(self.model.tenant.now)
        return self.model.tenant.revision

    def _learn_scores(self, request: ForgetMemoriesRequest) -> None:
        """What is found at this instant, as a preview says and a search confirms."""
        memories, full = self.model.memories, self.caller("full")
        preview, search = ForgetMemoriesRequest(), SearchMemoriesRequest(limit=100)
        preview.container_tag = request.container_tag or "default"
        search.container_tags.append(preview.container_tag)
        for asked in (preview, search):
            asked.query, asked.min_score = request.query, request.min_score
        preview.validate_only, preview.max_forget = True, 500
        matches = self._ask("ForgetMemories", full, preview).matches
        hits = self._ask("SearchMemories", full, search).hits
        memories.scores = {self.names.ours(match.id): match.score for match in matches}
        memories.terms = {self.names.ours(match.id): list(match.found_terms) for match in matches}
        best = {self.names.ours(hit.memory.id): hit.score for hit in hits}
        try:
            found.judge_matches(
                memories.remembered(preview.container_tag), memories.scores, best, request.min_score
            )
        except FindingError as finding:
            raise FindingError(f"{_line(preview)}: {finding}") from None

    def _ask(self, method: str, principal: Caller, request: Any) -> Any:
        self.tally.calls[method] += 1
        try:
            return self.harness.call(method, principal, spoken(request, self.names))
        except FailedCallError as failure:
            raise FindingError(
                f"{method} {{{_line(request)}}} is to be answered, and was: {failure}"
            ) from None

    def _check_refused(
        self, method: str, principal: Caller, request: Any, ours: RefusedError
    ) -> None:
        self.tally.calls[method] += 1
        try:
            answer = self.harness.call(method, principal, spoken(request, self.names))
        except FailedCallError as failure:
            got = failure
        else:
            said = f"{method} {{{_line(request)}}} is to fail with {ours}"
            raise FindingError(f"{said}, answered {{{_line(answer)}}}")
        reason = got.refusal.info.reason
        self.tally.refusals[reason] += 1
        if reason not in ours.reasons or got.code != CODES[reason]:
            raise FindingError(
                f"{method} {{{_line(request)}}} is to fail with {ours}, failed with {got}"
            )
        facts = got.refusal.info.metadata
        for name, ids in ours.details.items():
            known = {self.names.theirs(one) for one in ids}
            if name in facts and set(facts[name].split(",")) != known:
                raise FindingError(f"{method}: {name} is to be {known}, not {facts[name]}")

    def _rows(self, method: str, principal: Caller, request: Any) -> dict[str, Row]:
        rows = self.model.answer(method, principal, request)
        assert isinstance(rows, list)
        return {self.names.theirs(row.name): row for row in rows}

    def _read(self, listing: Listing, rows: Mapping[str, Row]) -> None:
        """One page: every row right and in order, none twice, and at last none left out."""
        request = type(listing.request)()
        request.CopyFrom(listing.request)
        request.page_token = listing.token
        answer = self._ask(listing.method, listing.principal, request)
        where = f"{listing.method} {{{_line(listing.request)}}}"
        if answer.revision != listing.revision:
            raise FindingError(f"{where}: revision {answer.revision}, not {listing.revision}")
        page = next((items for kind, items in answer.ListFields() if kind.is_repeated), ())
        size = request.page_size or DEFAULT_PAGE
        if len(page) > size or (answer.next_page_token and len(page) < size):
            raise FindingError(f"{where}: a page of {len(page)}, asked for {size}")
        for item in page:
            name = getattr(item, "id", "") or item.container_tag
            thing = listing.identity(item)
            if name not in rows or thing in listing.seen:
                raise FindingError(f"{where}: lists {{{_line(item)}}} twice or wrongly")
            if (
                listing.method == "ListMemories"
                and listing.request.include_history
                and item.version > 1
                and self.names.ours(name) not in listing.there
            ):
                raise FindingError(f"{where}: lists {{{_line(item)}}}, made since the first page")
            try:
                check_same(rows[name].message, item, self.names)
            except FindingError as finding:
                raise FindingError(f"{where}: {finding}") from None
            listing.seen.append(thing)
        listing.token = answer.next_page_token
        now = self._things(listing, rows)
        listing.steady = {
            name: row
            for name, row in listing.steady.items()
            if name in now and (not listing.by_update or now[name] == row)
        }
        if not listing.token:
            self._check_whole(where, listing)

    def _things(self, listing: Listing, rows: Mapping[str, Row]) -> dict[str, Row]:
        """The rows by what they show."""
        return {self.names.theirs(listing.identity(row.message)): row for row in rows.values()}

    @staticmethod
    def _check_whole(where: str, listing: Listing) -> None:
        if missing := [
            _line(row.message) for n, row in listing.steady.items() if n not in listing.seen
        ]:
            raise FindingError(f"{where}: leaves out {missing}")
        keys = [listing.steady[name].key for name in listing.seen if name in listing.steady]
        if keys != sorted(keys):
            raise FindingError(f"{where}: not in order: {listing.seen}")

    def _settle(self, before: int, after: int) -> None:
        """Learn what a purge made of revisions and of the documents it left."""
        tenant = self.model.tenant
        tenant.unsettled = False
        if after <= before:
            raise FindingError(
                f"the revision was {before} and is {after}, though something changed"
            )
        tenant.revision = after
        self.pass_time(1000)  # Each step of a purge takes an instant of its own.
        for document in self.model.documents.documents.values():
            if document.revision != LEARN:
                continue
            got = self._ask("GetDocument", self.caller("full"), GetDocumentRequest(id=document.id))
            document.revision = got.document.revision
            document.update_time = got.document.update_time.ToMicroseconds()
            if not before < document.revision <= after:
                raise FindingError(f"a document left a container at revision {document.revision}")
            if not tenant.now - 1000 <= document.update_time <= tenant.now:
                raise FindingError(f"a document left a container at {document.update_time}")


def _line(message: Message) -> str:
    return text_format.MessageToString(message, as_one_line=True, as_utf8=True)

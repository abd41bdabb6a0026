"""The model of memories: versions, each with a log of the states it was in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from palimpsest.v1 import memories_pb2 as pb
from palimpsest.v1.filter_pb2 import FilterField
from tests.property.filters import Subject, Value, holds, instant
from tests.property.model_documents import BY_UPDATE, DESCENDING, Documents
from tests.property.tenant import (
    Caller,
    RefusedError,
    Row,
    Tenant,
    frozen,
    refuse,
    stamp,
    struct,
)

Dates = tuple[str, tuple[str, ...]]
"""The document date and the event dates, as written."""


@dataclass(frozen=True)
class State:
    """What changes of a version. `forgotten_at`, `reason`, `batch`: by hand."""

    latest: bool = True
    forget_after: int | None = None
    scheduled_reason: str = ""
    forgotten_at: int | None = None
    reason: str = ""
    batch: str = ""

    def forgotten(self, at: int) -> int | None:
        """Since when it is forgotten, at an instant of this state."""
        if self.forgotten_at is None and self.latest and self.forget_after is not None:
            return self.forget_after if self.forget_after <= at else None
        return self.forgotten_at


@dataclass
class Version:
    id: str
    container: str
    root: str
    parent: str
    number: int
    content: str
    metadata: dict[str, Value]
    static: bool
    dates: Dates
    source: str
    created: int
    first_created: int
    log: list[tuple[int, State]] = field(default_factory=list)
    expiry_recorded: bool = False

    @property
    def state(self) -> State:
        return self.log[-1][1]

    def at(self, moment: int) -> State | None:
        """The state at that moment; None before it was made."""
        return next((state for since, state in reversed(self.log) if since <= moment), None)

    def subject(self) -> Subject:
        document_date, event_dates = (instant(self.dates[0]), map(instant, self.dates[1]))
        return Subject(
            self.metadata,
            {
                FilterField.FILTER_FIELD_CREATED: [self.first_created],
                FilterField.FILTER_FIELD_UPDATED: [self.created],
                FilterField.FILTER_FIELD_DOCUMENT_DATE: (
                    [] if document_date is None else [document_date]
                ),
                FilterField.FILTER_FIELD_EVENT_DATES: [i for i in event_dates if i is not None],
            },
            static=self.static,
        )


class MemoryReads:
    """The memories of a tenant, and what can be read of them."""

    def __init__(self, tenant: Tenant, documents: Documents) -> None:
        self.tenant = tenant
        self.documents = documents
        self.versions: dict[str, Version] = {}

    def inside(self, container: str) -> Iterator[Version]:
        return (v for v in list(self.versions.values()) if v.container == container)

    def chain(self, root: str) -> list[Version]:
        """Oldest version first."""
        return [version for version in self.versions.values() if version.root == root]

    def remembered(self, container: str) -> list[Version]:
        """The latest versions that are not forgotten, oldest memory first."""
        found = [
            version
            for version in self.inside(container)
            if version.state.latest and version.state.forgotten(self.tenant.now) is None
        ]
        return sorted(found, key=lambda version: age(version.root))

    def get_memory(self, principal: Caller, request: pb.GetMemoryRequest) -> pb.GetMemoryResponse:
        moment, problems = self._moment(request), self._kind(request.id)
        version = self.versions.get(request.id)
        if (
            version is None
            or version.container != (request.container_tag or "default")
            or version.at(moment) is None
        ):
            problems.append("MEMORY_NOT_FOUND")
        if moment > self.tenant.now:
            problems.append("TIME_IN_FUTURE")
        refuse(*problems)
        return pb.GetMemoryResponse(memory=self.shown(principal, self.versions[request.id], moment))

    def list_memories(self, principal: Caller, request: pb.ListMemoriesRequest) -> list[Row]:
        moment, rows, wanted = self._moment(request), [], request.source_document_id
        if wanted and not wanted.startswith("doc_"):
            raise RefusedError(["INVALID_REQUEST"], {})
        by_update = request.order in BY_UPDATE
        for version in self.meant(principal, request, moment):
            key = version.created if by_update else version.first_created
            key = -key if request.order in DESCENDING else key
            if wanted and self._source(principal, version) != wanted:
                continue
            shown = self.shown(principal, version, moment)
            rows.append(Row((key,), version.id, shown, len(version.log)))
        return rows

    def search_memories(self, principal: Caller, request: pb.SearchMemoriesRequest) -> list[Row]:
        """What may be found: all of it, as far as limit and score let, but no text twice."""
        moment = self._moment(request)
        return [
            Row((), version.id, self.shown(principal, version, moment))
            for version in self.meant(principal, request, moment)
        ]

    def get_profile(self, principal: Caller, request: pb.GetProfileRequest) -> list[Row]:
        """What may stand in it, newest first."""
        return [
            Row((-version.created,), version.id, self.shown(principal, version, self.tenant.now))
            for version in self.remembered(request.container_tag or "default")
            if not request.HasField("filter") or holds(request.filter, version.subject())
        ]

    def meant(
        self,
        principal: Caller,
        request: pb.ListMemoriesRequest | pb.SearchMemoriesRequest,
        moment: int,
    ) -> Iterator[Version]:
        """The versions that a request is about, as they were at that moment."""
        refuse(*(["TIME_IN_FUTURE"] if moment > self.tenant.now else []))
        visible = [tag for tag in self.tenant.containers if principal.sees([tag])]
        for container in request.container_tags or visible:
            for version in self.inside(container):
                state = version.at(moment)
                if (
                    state is not None
                    and (request.include_history or state.latest)
                    and (request.include_forgotten or state.forgotten(moment) is None)
                    and (not request.HasField("filter") or holds(request.filter, version.subject()))
                ):
                    yield version

    def list_memory_versions(
        self, principal: Caller, request: pb.ListMemoryVersionsRequest
    ) -> list[Row]:
        refuse(*self._kind(request.id))
        version = self.versions.get(request.id)
        if version is None or version.container != (request.container_tag or "default"):
            raise RefusedError(["MEMORY_NOT_FOUND"], {})
        return [
            Row((-one.number,), one.id, self.shown(principal, one, self.tenant.now))
            for one in self.chain(version.root)
        ]

    def _moment(
        self, request: pb.GetMemoryRequest | pb.ListMemoriesRequest | pb.SearchMemoriesRequest
    ) -> int:
        return request.as_of.ToMicroseconds() if request.HasField("as_of") else self.tenant.now

    @staticmethod
    def _kind(name: str) -> list[str]:
        return ["INVALID_REQUEST"] if name.startswith("doc_") else []

    def etag(self, version: Version, moment: int) -> str:
        state = version.at(moment)
        assert state is not None
        written = (version.content, frozen(version.metadata), version.static, version.dates)
        forgotten = state.forgotten(moment) is not None
        schedule = (state.forget_after, state.scheduled_reason)
        return self.tenant.etag(version.id, (written, schedule, state.latest, forgotten))

    def shown(self, principal: Caller, version: Version, moment: int) -> pb.Memory:
        state = version.at(moment)
        assert state is not None
        forgotten = state.forgotten(moment)
        return pb.Memory(
            id=version.id,
            container_tag=version.container,
            content=version.content,
            metadata=struct(version.metadata),
            version=version.number,
            is_latest=state.latest,
            forgotten=forgotten is not None,
            is_static=version.static,
            parent_memory_id=version.parent,
            root_memory_id=version.root,
            etag=self.etag(version, moment),
            create_time=stamp(version.created),
            forget_after=stamp(state.forget_after),
            forget_reason=(state.scheduled_reason if state.forgotten_at is None else state.reason),
            temporal_context=pb.TemporalContext(
                document_date=version.dates[0], event_dates=version.dates[1]
            ),
            source_document_id=self._source(principal, version),
            forget_time=stamp(forgotten),
            forget_batch_id=state.batch,
        )

    def _source(self, principal: Caller, version: Version) -> str:
        """The document it came from, if that is there and the caller may see it."""
        document = self.documents.documents.get(version.source)
        return version.source if document and principal.sees(document.containers) else ""

    def receipt(self, version: Version, revision: int) -> pb.MemoryReceipt:
        now, state = self.tenant.now, version.state
        return pb.MemoryReceipt(
            id=version.id,
            container_tag=version.container,
            version=version.number,
            parent_memory_id=version.parent,
            root_memory_id=version.root,
            etag=self.etag(version, now),
            revision=revision,
            is_latest=state.latest,
            forgotten=state.forgotten(now) is not None,
            create_time=stamp(version.created),
            forget_after=stamp(state.forget_after),
            update_time=stamp(now),
        )


def age(name: str) -> int:
    """Sorts names of the model by when they were made."""
    return int(name.rpartition("#")[2])

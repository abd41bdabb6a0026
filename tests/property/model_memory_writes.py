"""The model of memories: what can be written of them."""

from __future__ import annotations

from dataclasses import replace

from palimpsest.v1 import memories_pb2 as pb
from palimpsest.v1.filter_pb2 import Filter
from tests.property.filters import holds
from tests.property.model_documents import Document, Documents
from tests.property.model_memories import Dates, MemoryReads, State, Version
from tests.property.tenant import Caller, RefusedError, Tenant, plain, refuse, without_nulls

Target = pb.UpdateMemoryRequest | pb.ForgetMemoryRequest


class Memories(MemoryReads):
    """What can be written of memories."""

    def __init__(self, tenant: Tenant, documents: Documents) -> None:
        super().__init__(tenant, documents)
        self.batches: dict[str, tuple[str, list[str]]] = {}
        """Container and versions of each forget batch."""
        self.scores: dict[str, float] = {}
        """By id: what the query finds that ForgetMemories is about to be asked with. Which
        memories that are is the search's own affair, what then becomes of them is not."""
        self.terms: dict[str, list[str]] = {}
        """Of each of these: the words of the query that it holds, as a preview says."""

    def _meant(
        self, principal: Caller, name: str, container: str, problems: list[str]
    ) -> Document | None:
        """Of a custom id first the document that has it in the memory's container."""
        if not name:
            return None
        at_home = (
            None if name.startswith("doc_") else self.documents.find(principal, name, container)
        )
        try:
            found = at_home or self.documents.find(principal, name)
        except RefusedError as refusal:
            problems += refusal.reasons
            return None
        problems += [] if found else ["DOCUMENT_NOT_FOUND"]
        return found

    def create_memories(
        self, principal: Caller, request: pb.CreateMemoriesRequest
    ) -> pb.CreateMemoriesResponse:
        tenant, container = self.tenant, request.container_tag or "default"
        sources, problems = [], list[str]()
        for new in request.memories:
            source = self._meant(principal, new.source_document_id, container, problems)
            sources.append(source.id if source else "")
            problems += self._behind(new)
        refuse(*problems)
        receipts = []
        tenant.fill([container])
        for new, source_id in zip(request.memories, sources, strict=True):
            name = tenant.name("mem_")
            dates = (new.temporal_context.document_date, tuple(new.temporal_context.event_dates))
            version = Version(
                id=name,
                container=container,
                root=name,
                parent="",
                number=1,
                content=new.content,
                metadata=without_nulls(plain(new.metadata)),
                static=new.is_static,
                dates=dates,
                source=source_id,
                created=tenant.now,
                first_created=tenant.now,
            )
            schedule = new.forget_after.ToMicroseconds() if new.HasField("forget_after") else None
            version.log.append((tenant.now, State(True, schedule, new.forget_reason)))
            self.versions[name] = version
            receipts.append(self.receipt(version, tenant.change()))
        return pb.CreateMemoriesResponse(receipts=receipts, revision=tenant.revision)

    def update_memory(
        self, principal: Caller, request: pb.UpdateMemoryRequest
    ) -> pb.UpdateMemoryResponse:
        problems = self._behind(request)
        if request.clear_forget_after and request.forget_reason:
            problems.append("INVALID_REQUEST")
        old = self._target(request, problems)
        schedule, reason = old.state.forget_after, old.state.scheduled_reason
        if request.HasField("forget_after"):
            schedule = request.forget_after.ToMicroseconds()
        elif request.clear_forget_after:
            schedule, reason = None, ""
        if request.HasField("forget_reason"):
            reason = request.forget_reason
        refuse(*(["INVALID_REQUEST"] if reason and schedule is None else []))
        metadata = without_nulls(plain(request.metadata))
        version = replace(
            old,
            id=self.tenant.name("mem_"),
            parent=old.id,
            number=old.number + 1,
            content=request.new_content,
            metadata=metadata if request.HasField("metadata") else old.metadata,
            static=request.is_static if request.HasField("is_static") else old.static,
            dates=_changed_dates(old.dates, request.temporal_context),
            created=self.tenant.now,
            log=[(self.tenant.now, State(True, schedule, reason))],
        )
        self._enter(old, latest=False)
        self.versions[version.id] = version
        receipt = self.receipt(version, self.tenant.change())
        shown = self.shown(principal, version, self.tenant.now)
        return pb.UpdateMemoryResponse(receipt=receipt, memory=version.content, version=shown)

    def forget_memory(self, _: Caller, request: pb.ForgetMemoryRequest) -> pb.ForgetMemoryResponse:
        version = self._target(request, [])
        return pb.ForgetMemoryResponse(receipt=self._forget(version, request.reason, ""))

    def restore_memory(
        self, _: Caller, request: pb.RestoreMemoryRequest
    ) -> pb.RestoreMemoryResponse:
        problems = [*self._kind(request.id), *self._behind(request)]
        version, details = self._named(request.container_tag, request.id, problems)
        if not details and version.state.forgotten(self.tenant.now) is None:
            problems.append("MEMORY_NOT_FORGOTTEN")
        if request.etag and request.etag != self.etag(version, self.tenant.now):
            problems.append("ETAG_MISMATCH")
        refuse(*problems, **details)
        schedule = self._still_ahead(version)
        if request.HasField("forget_after"):
            schedule = request.forget_after.ToMicroseconds()
        elif request.clear_forget_after:
            schedule = None
        return pb.RestoreMemoryResponse(receipt=self._restore(version, schedule))

    def forget_memories(
        self, _: Caller, request: pb.ForgetMemoriesRequest
    ) -> pb.ForgetMemoriesResponse:
        container = request.container_tag or "default"
        scores = self.scores if request.query else {}
        if request.ids:
            found = self._all_named(container, request)
        else:
            if request.query:
                found = [v for v in self.remembered(container) if v.id in scores]
            else:
                found = self._matching(container, request.filter)
            limit = request.max_forget or 100
            refuse(*(["TOO_MANY_MATCHES"] if len(found) > limit else []))
        batch = ""
        if found and not request.validate_only:
            batch = self.tenant.name("batch")
            self.batches[batch] = (container, [version.id for version in found])
            for version in found:
                self._forget(version, request.reason, batch)
        return pb.ForgetMemoriesResponse(
            forget_batch_id=batch,
            forgotten_count=len(found),
            matches=[
                pb.ForgetMatch(
                    id=version.id,
                    score=scores.get(version.id, 0),
                    found_terms=self.terms[version.id] if scores and request.validate_only else (),
                )
                for version in found
            ],
            revision=self.tenant.revision,
        )

    def restore_memories(
        self, _: Caller, request: pb.RestoreMemoriesRequest
    ) -> pb.RestoreMemoriesResponse:
        batch = request.forget_batch_id
        container, names = self.batches.get(batch, ("", []))
        # One whose memories are all deleted is gone as well.
        there = [version for name, version in self.versions.items() if name in names]
        if container != (request.container_tag or "default") or not there:
            raise RefusedError(["FORGET_BATCH_NOT_FOUND"], {})
        receipts, skipped = [], []
        for version in there:
            if version.state.batch == batch:
                receipts.append(self._restore(version, self._still_ahead(version)))
            else:
                skipped.append(version.id)
        return pb.RestoreMemoriesResponse(
            receipts=receipts, skipped_ids=skipped, revision=self.tenant.revision
        )

    def delete_memory(self, _: Caller, request: pb.DeleteMemoryRequest) -> pb.DeleteMemoryResponse:
        refuse(*self._kind(request.id))
        version = self.versions.get(request.id)
        if version is None or version.container != (request.container_tag or "default"):
            refuse(*([] if request.allow_missing else ["MEMORY_NOT_FOUND"]))
            return pb.DeleteMemoryResponse(revision=self.tenant.revision)
        if request.etag and request.etag != self.etag(version, self.tenant.now):
            refuse("ETAG_MISMATCH")
        return pb.DeleteMemoryResponse(
            root_memory_id=version.root,
            deleted_version_count=self.drop(version.root),
            revision=self.tenant.change(),
        )

    def drop(self, root: str) -> int:
        """Delete a chain; how many versions it had."""
        chain = self.chain(root)
        for version in chain:
            del self.versions[version.id]
        return len(chain)

    def sweep(self) -> int:
        """Record the expiries that are due; how many."""
        due = [
            version
            for version in self.versions.values()
            if version.state.forgotten_at is None
            and version.state.forgotten(self.tenant.now) is not None
            and not version.expiry_recorded
        ]
        for version in due:
            version.expiry_recorded = True
            self.tenant.change()
        return len(due)

    def _behind(
        self, request: pb.NewMemory | pb.UpdateMemoryRequest | pb.RestoreMemoryRequest
    ) -> list[str]:
        if not request.HasField("forget_after"):
            return []
        ahead = request.forget_after.ToMicroseconds() > self.tenant.now
        return [] if ahead else ["INVALID_REQUEST"]

    def _named(
        self, container: str, name: str, problems: list[str]
    ) -> tuple[Version, dict[str, list[str]]]:
        """A version by id. What names a newer one is in the second part."""
        version = self.versions.get(name)
        if version is None or version.container != (container or "default"):
            raise RefusedError([*problems, "MEMORY_NOT_FOUND"], {})
        if version.state.latest:
            return version, {}
        problems.append("MEMORY_NOT_LATEST")
        return version, {"latest_id": [self.chain(version.root)[-1].id]}

    def _target(self, request: Target, problems: list[str]) -> Version:
        """The latest, remembered version that an update or a forgetting is about."""
        details: dict[str, list[str]] = {}
        if request.HasField("id"):
            problems += self._kind(request.id)
            version, details = self._named(request.container_tag, request.id, problems)
            if request.HasField("content") and request.content != version.content:
                problems.append("CONTENT_MISMATCH")
            if version.state.forgotten(self.tenant.now) is not None:
                problems.append("MEMORY_FORGOTTEN")
        else:
            remembered = self.remembered(request.container_tag or "default")
            found = [version for version in remembered if version.content == request.content]
            if not found:
                raise RefusedError([*problems, "MEMORY_NOT_FOUND"], {})
            if len(found) > 1:
                ids = [version.id for version in found]
                raise RefusedError([*problems, "AMBIGUOUS_CONTENT"], {"ids": ids})
            version = found[0]
        if request.etag and request.etag != self.etag(version, self.tenant.now):
            problems.append("ETAG_MISMATCH")
        refuse(*problems, **details)
        return version

    def _all_named(self, container: str, request: pb.ForgetMemoriesRequest) -> list[Version]:
        found, problems = [], list[str]()
        for name in request.ids:
            problems += self._kind(name)
            try:
                version, _ = self._named(container, name, problems)
            except RefusedError as refusal:
                problems += refusal.reasons
                continue
            if version.state.forgotten(self.tenant.now) is not None:
                problems.append("MEMORY_FORGOTTEN")
            found.append(version)
        refuse(*problems)
        return found

    def _matching(self, container: str, filter_: Filter) -> list[Version]:
        remembered = self.remembered(container)
        return [version for version in remembered if holds(filter_, version.subject())]

    def _still_ahead(self, version: Version) -> int | None:
        schedule = version.state.forget_after
        return schedule if schedule is not None and schedule > self.tenant.now else None

    def _forget(self, version: Version, reason: str, batch: str) -> pb.MemoryReceipt:
        self._enter(version, forgotten_at=self.tenant.now, reason=reason, batch=batch)
        return self.receipt(version, self.tenant.change())

    def _restore(self, version: Version, schedule: int | None) -> pb.MemoryReceipt:
        reason = version.state.scheduled_reason if schedule is not None else ""
        version.log.append((self.tenant.now, State(True, schedule, reason)))
        version.expiry_recorded = False
        return self.receipt(version, self.tenant.change())

    def _enter(self, version: Version, **changes: object) -> None:
        version.log.append((self.tenant.now, replace(version.state, **changes)))  # type: ignore[arg-type]


def _changed_dates(dates: Dates, change: pb.TemporalContextUpdate) -> Dates:
    document_date, event_dates = dates
    if change.HasField("document_date") or change.clear_document_date:
        document_date = change.document_date
    if change.event_dates or change.clear_event_dates:
        event_dates = tuple(change.event_dates)
    return document_date, event_dates

"""The model of documents."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field

from google.protobuf.struct_pb2 import Struct

from palimpsest.v1 import common_pb2 as common
from palimpsest.v1 import documents_pb2 as pb
from palimpsest.v1.errors_pb2 import ItemError
from palimpsest.v1.filter_pb2 import FilterField
from tests.property.filters import Subject, Value, holds
from tests.property.tenant import (
    LEARN,
    Caller,
    RefusedError,
    Row,
    Tenant,
    frozen,
    plain,
    refuse,
    stamp,
    struct,
    without_nulls,
)

BY_UPDATE = (common.LIST_ORDER_UPDATED_DESC, common.LIST_ORDER_UPDATED_ASC)
DESCENDING = (
    common.LIST_ORDER_UNSPECIFIED,
    common.LIST_ORDER_CREATED_DESC,
    common.LIST_ORDER_UPDATED_DESC,
)


Write = pb.UpsertDocumentRequest | pb.UpdateDocumentRequest


def form(kind: int) -> int:
    """0 for kinds of text, 1 for messages, 2 for files."""
    return max(0, min(kind - pb.CONTENT_KIND_CONVERSATION + 1, 2))


@dataclass
class Document:
    id: str
    custom_id: str
    create_time: int
    content: str = ""
    messages: tuple[pb.ConversationMessage, ...] = ()
    file: bytes = b""
    kind: pb.ContentKind.ValueType = pb.CONTENT_KIND_TEXT
    metadata: dict[str, Value] = field(default_factory=dict)
    containers: tuple[str, ...] = ()
    """In the order given."""
    title: str = ""
    date: int | None = None
    status: pb.DocumentStatus.ValueType = pb.DOCUMENT_STATUS_QUEUED
    revision: int = 0
    update_time: int = 0

    def written(self) -> Hashable:
        """What callers wrote: the etag is over this."""
        said = tuple(message.SerializeToString(deterministic=True) for message in self.messages)
        metadata = frozen(self.metadata)
        about = (metadata, self.containers, self.title, self.date)
        return (self.kind, self.content, said, self.file, *about)

    def take_content(self, request: Write) -> None:
        """What the request says of content and kind; nothing is said of what stays."""
        if request.HasField("conversation"):
            self.content, self.messages, self.file = "", tuple(request.conversation.messages), b""
            self.kind = pb.CONTENT_KIND_CONVERSATION
        elif request.content_bytes:
            self.content, self.messages, self.file = "", (), request.content_bytes
            is_pdf = request.content_bytes.startswith(b"%PDF-")
            self.kind = pb.CONTENT_KIND_PDF if is_pdf else pb.CONTENT_KIND_DOCX
        elif request.content:
            self.content, self.messages, self.file = request.content, (), b""
            if form(self.kind):
                self.kind = pb.CONTENT_KIND_TEXT
        if request.HasField("content_kind"):
            self.kind = request.content_kind

    def subject(self) -> Subject:
        return Subject(
            self.metadata,
            {
                FilterField.FILTER_FIELD_CREATED: [self.create_time],
                FilterField.FILTER_FIELD_UPDATED: [self.update_time],
                FilterField.FILTER_FIELD_DOCUMENT_DATE: [] if self.date is None else [self.date],
            },
            status=pb.DocumentStatus.Name(self.status).removeprefix("DOCUMENT_STATUS_"),
        )


class Documents:
    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.documents: dict[str, Document] = {}

    def of_custom_id(self, custom_id: str) -> list[Document]:
        return [d for d in self.documents.values() if d.custom_id == custom_id != ""]

    def find(self, principal: Caller, name: str, home: str = "") -> Document | None:
        """By id or custom id; None too for a document in none of the key's containers.

        Args:
            principal: The key.
            name: The id or custom id.
            home: Of a custom id where it is looked for, of an id one of the containers.

        Raises:
            RefusedError: Several have the custom id, and no home is named.
        """
        if name.startswith("doc_"):
            there = [self.documents[name]] if name in self.documents else []
            found = [d for d in there if not home or home in d.containers]
        else:
            found = [d for d in self.of_custom_id(name) if not home or home == d.containers[0]]
        found = [d for d in found if principal.sees(d.containers)]
        if len(found) > 1:
            refuse("AMBIGUOUS_CUSTOM_ID", ids=[document.id for document in found])
        return next(iter(found), None)

    def etag(self, document: Document) -> str:
        return self.tenant.etag(document.id, document.written())

    def inside(self, tags: Collection[str]) -> Iterator[Document]:
        """Documents in any of the containers."""
        for document in list(self.documents.values()):
            if not set(tags).isdisjoint(document.containers):
                yield document

    # --- reads ---------------------------------------------------------------

    def get_document(
        self, principal: Caller, request: pb.GetDocumentRequest
    ) -> pb.GetDocumentResponse:
        document = self._existing(principal, request.id, request.container_tag)
        return pb.GetDocumentResponse(
            document=self._shown(principal, document, content=True, file=True)
        )

    def watch_document(
        self, principal: Caller, request: pb.WatchDocumentRequest
    ) -> pb.WatchDocumentResponse:
        """The first state of the stream."""
        document = self._existing(principal, request.id, request.container_tag)
        return pb.WatchDocumentResponse(document=self._shown(principal, document, content=False))

    def list_documents(self, principal: Caller, request: pb.ListDocumentsRequest) -> list[Row]:
        tags, rows = set(request.container_tags), []
        for document in self.documents.values():
            named = tags.intersection(document.containers)
            if (
                (named == tags if request.match_all_containers or not tags else named)
                and principal.sees(document.containers)
                and (not request.statuses or document.status in request.statuses)
                and document.custom_id.startswith(request.custom_id_prefix)
                and (not request.HasField("filter") or holds(request.filter, document.subject()))
            ):
                by_update = request.order in BY_UPDATE
                key = document.update_time if by_update else document.create_time
                shown = self._shown(principal, document, content=request.include_content)
                rows.append(
                    Row((-key if request.order in DESCENDING else key,), document.id, shown)
                )
        return rows

    def _existing(self, principal: Caller, name: str, home: str) -> Document:
        refuse(*(["INVALID_REQUEST"] if name.startswith("mem_") else []))
        document = self.find(principal, name, home)
        if document is None:
            raise RefusedError(["DOCUMENT_NOT_FOUND"], {})
        return document

    def _shown(
        self, principal: Caller, document: Document, *, content: bool, file: bool = False
    ) -> pb.Document:
        visible = [tag for tag in document.containers if principal.sees([tag])]
        conversation = pb.Conversation(messages=document.messages)
        return pb.Document(
            id=document.id,
            custom_id=document.custom_id,
            content=document.content if content else "",
            content_bytes=document.file if file else b"",
            metadata=struct(document.metadata),
            container_tags=visible,
            status=document.status,
            content_kind=document.kind,
            conversation=conversation if content and document.messages else None,
            title=document.title,
            document_date=stamp(document.date),
            etag=self.etag(document),
            revision=document.revision,
            create_time=stamp(document.create_time),
            update_time=stamp(document.update_time),
        )

    # --- writes --------------------------------------------------------------

    def upsert_document(
        self, principal: Caller, request: pb.UpsertDocumentRequest
    ) -> pb.UpsertDocumentResponse:
        return pb.UpsertDocumentResponse(receipt=self._upsert(principal, request))

    def batch_upsert_documents(
        self, principal: Caller, request: pb.BatchUpsertDocumentsRequest
    ) -> pb.BatchUpsertDocumentsResponse:
        def age(index: int) -> tuple[bool, int]:
            item = request.items[index]
            dated = item.HasField("document_date")
            return not dated, item.document_date.ToMicroseconds() if dated else 0

        outcomes = [pb.BatchUpsertOutcome() for _ in request.items]
        for index in sorted(range(len(outcomes)), key=age):
            try:
                receipt = self._upsert(principal, request.items[index])
            except RefusedError as refusal:
                outcomes[index].error.CopyFrom(item_error(refusal))
            else:
                outcomes[index].receipt.CopyFrom(receipt)
        return pb.BatchUpsertDocumentsResponse(outcomes=outcomes, revision=self.tenant.revision)

    def update_document(
        self, principal: Caller, request: pb.UpdateDocumentRequest
    ) -> pb.UpdateDocumentResponse:
        document = self._writable(principal, request.id, request.container_tag, request.etag)
        says_kind_alone = request.HasField("content_kind") and not (
            request.content or request.content_bytes or request.HasField("conversation")
        )
        if says_kind_alone and form(document.kind) != form(request.content_kind):
            refuse("INVALID_REQUEST")
        home = next(iter(request.container_tags), document.containers[0])
        if home != document.containers[0] and self._at_home(document.custom_id, home):
            refuse("CUSTOM_ID_EXISTS")
        before = document.written()
        if request.container_tags:
            document.containers = tuple(request.container_tags)
        named = request.id if request.id == document.custom_id else ""
        return pb.UpdateDocumentResponse(receipt=self._change(document, request, before, named))

    def delete_document(
        self, principal: Caller, request: pb.DeleteDocumentRequest
    ) -> pb.DeleteDocumentResponse:
        if (
            request.allow_missing
            and not request.id.startswith("mem_")
            and self.find(principal, request.id, request.container_tag) is None
        ):
            return pb.DeleteDocumentResponse(revision=self.tenant.revision)
        document = self._writable(principal, request.id, request.container_tag, request.etag)
        del self.documents[document.id]
        return pb.DeleteDocumentResponse(id=document.id, revision=self.tenant.change())

    def bulk_delete_documents(
        self, principal: Caller, request: pb.BulkDeleteDocumentsRequest
    ) -> pb.BulkDeleteDocumentsResponse:
        answer = pb.BulkDeleteDocumentsResponse(
            success=True,
            container_tags=request.container_tags,
            completion=common.COMPLETION_COMPLETE,
        )
        if request.container_tags:
            gone, left = self.split(request.container_tags)
            answer.detached_count = len(left)
            answer.detached_ids.extend(document.id for document in left)
        else:
            gone, left = self._named(principal, request, answer), []
        answer.deleted_count = len(gone)
        if request.validate_only:
            answer.sample_ids.extend(document.id for document in gone)
        elif request.container_tags:
            self.purge(gone, left, request.container_tags)
        else:
            for document in gone:
                del self.documents[document.id]
                self.tenant.change()
        answer.revision = LEARN if self.tenant.unsettled else self.tenant.revision
        return answer

    def split(self, tags: Collection[str]) -> tuple[list[Document], list[Document]]:
        """Of the documents in the containers: those in no other, and the rest."""
        gone: list[Document] = []
        left: list[Document] = []
        for document in self.inside(tags):
            (gone if set(tags).issuperset(document.containers) else left).append(document)
        return gone, left

    def purge(self, gone: list[Document], left: list[Document], tags: Collection[str]) -> None:
        """Delete the first; take the second out of the containers."""
        self.tenant.unsettled = bool(gone or left)
        for document in gone:
            del self.documents[document.id]

        def turn(document: Document) -> tuple[int, int]:
            return min(
                i for i, tag in enumerate(tags) if tag in document.containers
            ), document.revision

        for document in sorted(left, key=turn):
            home = next(tag for tag in document.containers if tag not in tags)
            if home != document.containers[0] and self._at_home(document.custom_id, home):
                document.custom_id = ""
            document.containers = tuple(tag for tag in document.containers if tag not in tags)
            document.revision = document.update_time = LEARN

    def _named(
        self,
        principal: Caller,
        request: pb.BulkDeleteDocumentsRequest,
        answer: pb.BulkDeleteDocumentsResponse,
    ) -> list[Document]:
        refuse(*(["INVALID_REQUEST"] if any(i.startswith("mem_") for i in request.ids) else []))
        gone: list[Document] = []
        for index, name in enumerate(request.ids):
            try:
                document = self.find(principal, name)
            except RefusedError as ambiguous:
                answer.errors.add(index=index, id=name, error=item_error(ambiguous))
                continue
            if (
                document is not None
                and document not in gone
                and principal.owns(document.containers)
            ):
                gone.append(document)
                continue
            missing = document is None or document in gone
            refusal = RefusedError(
                ["DOCUMENT_NOT_FOUND" if missing else "CONTAINER_NOT_ALLOWED"], {}
            )
            answer.errors.add(index=index, id=name, error=item_error(refusal))
        return gone

    def _at_home(self, custom_id: str, home: str) -> Document | None:
        """The document that has a custom id in its home."""
        found = (d for d in self.of_custom_id(custom_id) if d.containers[0] == home)
        return next(found, None)

    def _writable(self, principal: Caller, name: str, home: str, etag: str) -> Document:
        document = self._existing(principal, name, home)
        refuse(*([] if principal.owns(document.containers) else ["CONTAINER_NOT_ALLOWED"]))
        refuse(*(["ETAG_MISMATCH"] if etag and etag != self.etag(document) else []))
        return document

    def _upsert(self, principal: Caller, request: pb.UpsertDocumentRequest) -> pb.DocumentReceipt:
        try:
            home = next(iter(request.container_tags), "")
            current = self.find(principal, request.custom_id, home) if request.custom_id else None
        except RefusedError:
            refuse(*["CUSTOM_ID_EXISTS"] if request.mode == pb.UPSERT_MODE_CREATE_ONLY else [])
            raise
        if current is None:
            return self._create(principal, request)
        tags, problems = set(request.container_tags), []
        if not tags.issubset(current.containers):
            problems.append("CUSTOM_ID_IN_OTHER_CONTAINER")
        if not principal.owns(current.containers):
            problems.append("CONTAINER_NOT_ALLOWED")
        if request.mode == pb.UPSERT_MODE_CREATE_ONLY:
            problems.append("CUSTOM_ID_EXISTS")
        if request.etag and request.etag != self.etag(current):
            problems.append("ETAG_MISMATCH")
        refuse(*problems)
        return self._change(current, request, current.written(), request.custom_id)

    def _create(self, principal: Caller, request: pb.UpsertDocumentRequest) -> pb.DocumentReceipt:
        tags, problems = tuple(request.container_tags) or ("default",), []
        if request.mode == pb.UPSERT_MODE_UPDATE_ONLY:
            problems.append("DOCUMENT_NOT_FOUND")
        if request.etag:
            problems.append("ETAG_MISMATCH")
        if not principal.owns(tags):
            problems.append("CONTAINER_NOT_ALLOWED")
        refuse(*problems)
        now = self.tenant.now
        document = Document(self.tenant.name("doc_"), request.custom_id, now, containers=tags)
        self.documents[document.id] = document
        receipt = self._change(document, request, None, request.custom_id)
        receipt.created = True
        return receipt

    def _change(
        self, document: Document, request: Write, before: Hashable | None, custom_id: str
    ) -> pb.DocumentReceipt:
        """Write what the request gives; `before`: what was written until now."""
        document.take_content(request)
        document.metadata = merged(document.metadata, request.metadata)
        if request.HasField("title"):
            document.title = request.title
        if request.HasField("document_date"):
            document.date = request.document_date.ToMicroseconds()
        elif request.clear_document_date:
            document.date = None
        return self._settled(document, before, custom_id)

    def _settled(
        self, document: Document, before: Hashable | None, custom_id: str
    ) -> pb.DocumentReceipt:
        """The receipt of a document that is as it is to be."""
        changed = document.written() != before
        if changed:
            document.revision = self.tenant.change()
            document.update_time = self.tenant.now
            self.tenant.fill(document.containers)
        return pb.DocumentReceipt(
            id=document.id,
            custom_id=custom_id,
            changed=changed,
            status=document.status,
            etag=self.etag(document),
            revision=document.revision,
            create_time=stamp(document.create_time),
            update_time=stamp(document.update_time),
        )


def merged(current: dict[str, Value], change: Struct) -> dict[str, Value]:
    """By key; null removes one."""
    return without_nulls({**current, **plain(change)})


def item_error(refusal: RefusedError) -> ItemError:
    """A refusal as an outcome, with every reason that would do."""
    return ItemError(reason="|".join(refusal.reasons), message="why")

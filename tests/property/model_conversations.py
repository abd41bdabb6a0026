"""The model of documents that grow: appending to conversations."""

from __future__ import annotations

from palimpsest.v1 import documents_pb2 as pb
from tests.property.model_documents import Documents, merged
from tests.property.tenant import Caller, RefusedError, refuse


class Conversations(Documents):
    """Documents, and what can be appended to them."""

    def append_messages(
        self, principal: Caller, request: pb.AppendMessagesRequest
    ) -> pb.AppendMessagesResponse:
        refuse(*(["INVALID_REQUEST"] if request.id.startswith("mem_") else []))
        named, of_service = request.id, request.id.startswith("doc_")
        tag = request.container_tag
        if tag and request.container_tags and tag != request.container_tags[0]:
            refuse("INVALID_REQUEST")
        home = tag or ("" if of_service else next(iter(request.container_tags), ""))
        document = self.find(principal, named, home)
        if document is None:
            if not request.create_if_missing or of_service:
                raise RefusedError(["DOCUMENT_NOT_FOUND"], {})
            return self._begin(principal, request)
        tags, problems = set(request.container_tags), []
        if not principal.owns(document.containers):
            problems.append("CONTAINER_NOT_ALLOWED")
        if not tags.issubset(document.containers):
            problems.append("CUSTOM_ID_IN_OTHER_CONTAINER")
        if document.kind != pb.CONTENT_KIND_CONVERSATION:
            problems.append("NOT_A_CONVERSATION")
        if request.etag and request.etag != self.etag(document):
            problems.append("ETAG_MISMATCH")
        refuse(*problems)
        before = document.written()
        document.messages += tuple(request.messages)
        document.metadata = merged(document.metadata, request.metadata)
        if request.HasField("title"):
            document.title = request.title
        receipt = self._settled(document, before, "" if of_service else named)
        return pb.AppendMessagesResponse(receipt=receipt, message_count=len(document.messages))

    def _begin(
        self, principal: Caller, request: pb.AppendMessagesRequest
    ) -> pb.AppendMessagesResponse:
        """A conversation of these messages, as UpsertDocument makes it."""
        tag = request.container_tag
        upsert = pb.UpsertDocumentRequest(
            custom_id=request.id,
            container_tags=request.container_tags or ([tag] if tag else []),
            metadata=request.metadata,
            title=request.title,
            etag=request.etag,
            conversation=pb.Conversation(messages=request.messages),
        )
        count = len(request.messages)
        return pb.AppendMessagesResponse(
            receipt=self._upsert(principal, upsert), message_count=count
        )

"""The whole model: what a call is answered, by the name of its method."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from palimpsest.v1 import common_pb2 as common
from palimpsest.v1 import containers_pb2 as pb
from palimpsest.v1 import documents_pb2 as documents
from palimpsest.v1.containers_pb2 import Container
from palimpsest.v1.memories_pb2 import UpdateMemoryResponse
from tests.property.model_conversations import Conversations
from tests.property.model_documents import Documents
from tests.property.model_memory_writes import Memories
from tests.property.tenant import LEARN, Caller, RefusedError, Row, Tenant, refuse, stamp

Answer = Message | list[Row]


class Containers:
    """The model of containers: their counts are those of what is in them."""

    def __init__(self, tenant: Tenant, documents: Documents, memories: Memories) -> None:
        self.tenant = tenant
        self.documents = documents
        self.memories = memories

    def list_containers(self, principal: Caller, request: pb.ListContainersRequest) -> list[Row]:
        return [
            Row(
                (tag,),
                tag,
                Container(
                    container_tag=tag,
                    document_count=len(list(self.documents.inside([tag]))),
                    memory_count=len(self.memories.remembered(tag)),
                    create_time=stamp(made),
                ),
            )
            for tag, made in self.tenant.containers.items()
            if tag.startswith(request.prefix) and principal.sees([tag])
        ]

    def delete_container(
        self, _: Caller, request: pb.DeleteContainerRequest
    ) -> pb.DeleteContainerResponse:
        tag = request.container_tag
        answer = pb.DeleteContainerResponse(
            completion=common.COMPLETION_COMPLETE, revision=self.tenant.revision
        )
        if tag not in self.tenant.containers:
            refuse(*([] if request.allow_missing else ["CONTAINER_NOT_FOUND"]))
            return answer
        gone, left = self.documents.split([tag])
        roots = {version.root for version in self.memories.inside(tag)}
        answer.deleted_document_count = len(gone)
        answer.detached_count = len(left)
        answer.detached_ids.extend(document.id for document in left)
        answer.deleted_memory_count = len(roots)
        if request.validate_only:
            answer.sample_ids.extend(document.id for document in gone)
            return answer
        self.documents.purge(gone, left, [tag])
        for root in roots:
            self.memories.drop(root)
        del self.tenant.containers[tag]
        self.tenant.unsettled = True
        answer.container_deleted = True
        answer.revision = LEARN
        return answer


class Model:
    """One tenant, empty at first."""

    def __init__(self) -> None:
        self.tenant = Tenant()
        self.documents = Conversations(self.tenant)
        self.memories = Memories(self.tenant, self.documents)
        self.containers = Containers(self.tenant, self.documents, self.memories)
        self._requests: dict[str, tuple[str, bytes, Message]] = {}

    def answer(self, method: str, principal: Caller, request: Any) -> Answer:
        """What the call is answered, and all it changes.

        Raises:
            RefusedError: It is to fail, and changes nothing.
        """
        fields = request.DESCRIPTOR.fields_by_name
        if principal.read_only and "request_id" in fields:
            raise RefusedError(["KEY_READ_ONLY"], {})
        refuse(*([] if principal.owns(_containers(request)) else ["CONTAINER_NOT_ALLOWED"]))
        work = getattr(self._part(method), re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower())
        previews = "validate_only" in fields and request.validate_only
        if "request_id" not in fields or not request.request_id or previews:
            done: Answer = work(principal, request)
            return done
        known = self._requests.get(request.request_id)
        said = request.SerializeToString(deterministic=True)
        if known is not None:
            refuse(*([] if known[:2] == (method, said) else ["REQUEST_ID_REUSED"]))
            return self._repeated(known[2])
        first: Message = work(principal, request)
        self._requests[request.request_id] = (method, said, first)
        return first

    def _part(self, method: str) -> object:
        if "Memor" in method or method == "GetProfile":
            return self.memories
        return self.containers if "Container" in method else self.documents

    def _repeated(self, first: Message) -> Message:
        """The first receipt; it never brings back the text of a deleted memory."""
        if isinstance(first, UpdateMemoryResponse):
            gone = first.receipt.id not in self.memories.versions
            return UpdateMemoryResponse(receipt=first.receipt, memory="" if gone else first.memory)
        return first


BY_NAME = (
    documents.GetDocumentRequest,
    documents.WatchDocumentRequest,
    documents.UpdateDocumentRequest,
    documents.DeleteDocumentRequest,
    documents.AppendMessagesRequest,
)
"""Name a document, and perhaps one of its containers."""


def _containers(request: Any) -> Iterable[str]:
    """The containers a request names, or means by naming none."""
    fields = request.DESCRIPTOR.fields_by_name
    if isinstance(request, BY_NAME):
        home = [request.container_tag] if request.container_tag else []
        return [*home, *getattr(request, "container_tags", ())]
    if "container_tag" in fields:
        return [request.container_tag or "default"]
    if "items" in fields:
        return [tag for item in request.items for tag in item.container_tags]
    if "container_tags" in fields:
        return list(request.container_tags)
    return []

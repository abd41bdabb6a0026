"""How streams go on after a lost connection, without repeating or skipping anything."""

from __future__ import annotations

from typing import Any, Protocol

from google.protobuf.message import Message

from palimpsest.errors import NotFoundError, PalimpsestError
from palimpsest.v1 import changes_pb2, documents_pb2


class Resuming(Protocol):
    """What a stream has to remember for its next connection."""

    request: Any
    """What the next connection asks for."""

    ended: bool
    """Whether there is nothing more to come."""

    def accept(self, message: Any) -> bool:
        """Take note of a message, and tell whether it is new."""

    def last_message(self, error: PalimpsestError) -> Message | None:
        """The message that an error on a later connection stands for, if any."""


class DocumentResuming:
    """Of WatchDocument, which begins with the current state: that may have been sent before."""

    def __init__(self, request: documents_pb2.WatchDocumentRequest) -> None:
        self.request = request
        self.ended = False
        self._last: documents_pb2.WatchDocumentResponse | None = None

    def accept(self, message: documents_pb2.WatchDocumentResponse) -> bool:
        if message == self._last:
            return False
        self._last = message
        # A custom id may be another document's by the time of the next connection.
        self.request = documents_pb2.WatchDocumentRequest(id=message.document.id)
        self.ended = message.deleted or message.document.status in (
            documents_pb2.DOCUMENT_STATUS_DONE,
            documents_pb2.DOCUMENT_STATUS_FAILED,
        )
        return True

    def last_message(self, error: PalimpsestError) -> documents_pb2.WatchDocumentResponse | None:
        """Deleted between two connections."""
        if self._last is None or not isinstance(error, NotFoundError):
            return None
        document = documents_pb2.Document(id=self._last.document.id)
        return documents_pb2.WatchDocumentResponse(document=document, deleted=True)


class ChangesResuming:
    """Of WatchChanges, each of whose messages names the revision to continue after."""

    def __init__(self, request: changes_pb2.WatchChangesRequest) -> None:
        self.request = request
        self.ended = False

    def accept(self, message: changes_pb2.WatchChangesResponse) -> bool:
        self.request.after_revision = message.revision
        return True

    def last_message(self, error: PalimpsestError) -> None:  # noqa: ARG002 - there is none
        return None

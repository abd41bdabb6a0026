"""Uploading documents in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from palimpsest.v1.documents_pb2 import BatchUpsertDocumentsRequest, UpsertDocumentRequest
from service.client.connection import Connection
from service.client.importing.files import Remark, Source
from service.client.printable import printable

BATCH_ITEMS: Final = 200
_BATCH_BYTES: Final = 8 * 1024 * 1024
_BATCH_SECONDS: Final = 300


class Uploads:
    """Gathers upserts and sends them.

    Args:
        connection: To the server.
        advance: Is told how many more were sent.
        batch_items: How many are sent in one call, at most.

    Attributes:
        created: By custom id, whether the document is new, of those that were written.
        failed: Those that were not, with the reasons.
    """

    def __init__(
        self,
        connection: Connection,
        advance: Callable[[int], object],
        batch_items: int = BATCH_ITEMS,
    ) -> None:
        self.created: dict[str, bool] = {}
        self.failed: list[Remark] = []
        self._connection = connection
        self._advance = advance
        self._batch_items = batch_items
        self._batch: list[tuple[Source, UpsertDocumentRequest]] = []
        self._bytes = 0

    @property
    def pending(self) -> bool:
        """Whether something was added that has not been sent."""
        return bool(self._batch)

    def add(self, source: Source, request: UpsertDocumentRequest) -> None:
        """Send it, now or with others later; raises ServerError."""
        size = request.ByteSize()
        # Only when more follow: the last batch is sent by `finish`, which waits.
        full = len(self._batch) == self._batch_items or self._bytes + size > _BATCH_BYTES
        if self._batch and full:
            self._send()
        self._batch.append((source, request))
        self._bytes += size

    def finish(self, wait_seconds: float) -> None:
        """Send the rest, and wait so long until it can be found; raises ServerError."""
        self._send(wait_seconds)

    def _send(self, wait_seconds: float = 0) -> None:
        items = [item for _, item in self._batch]
        answer = self._connection.call(
            self._connection.documents.BatchUpsertDocuments,
            BatchUpsertDocumentsRequest(items=items, wait=wait_seconds > 0),
            seconds=wait_seconds or _BATCH_SECONDS,
        )
        for (source, item), outcome in zip(self._batch, answer.outcomes, strict=True):
            if outcome.HasField("error"):
                self.failed.append(Remark(source.name, printable(outcome.error.message)))
            else:
                self.created[item.custom_id] = outcome.receipt.created
        self._advance(len(self._batch))
        self._batch.clear()
        self._bytes = 0

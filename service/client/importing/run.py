"""An import, from the files to what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from google.protobuf.struct_pb2 import Struct

from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_FAILED,
    BatchUpsertDocumentsRequest,
    ContentKind,
    ListDocumentsRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.filter_pb2 import Condition, Filter
from service.client.connection import Connection
from service.client.importing.files import Found, Remark, Source, custom_id
from service.client.importing.reading import LeftOutError, read
from service.client.printable import printable
from service.content.base import Extract, UnreadableContentError
from service.content.registry import extractor_for

DIGEST_KEY: Final = "import_digest"
"""Metadata key of the SHA-256 of the content, by which the next import recognises it."""

_BATCH_ITEMS: Final = 200
_BATCH_BYTES: Final = 8 * 1024 * 1024
_BATCH_SECONDS: Final = 300
_WAIT_SECONDS: Final = 60
"""How long an import waits at its end until what it uploaded can be found."""
_TITLE_LENGTH: Final = 200


@dataclass(slots=True)
class Summary:
    """The result of an import: numbers of files, and those with a reason that are not in it."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    left_out: list[Remark] = field(default_factory=list)
    failed: list[Remark] = field(default_factory=list)


def import_files(
    connection: Connection, container: str, found: Found, advance: Callable[[int], object]
) -> Summary:
    """Upload what the server does not have, has with other content, or failed to process.

    Args:
        connection: To the server.
        container: Where the documents go.
        found: The files.
        advance: Called with the number of files that were done since the last call.

    Raises:
        ServerError: A call failed. What was uploaded stays, and a further import
            goes on from there.
    """
    return _Import(connection, container, found, advance).run()


class _Import:
    def __init__(
        self,
        connection: Connection,
        container: str,
        found: Found,
        advance: Callable[[int], object],
    ) -> None:
        self._connection = connection
        self._container = container
        self._sources = found.sources
        self._advance = advance
        self._batch: list[tuple[Source, UpsertDocumentRequest]] = []
        self._batch_bytes = 0
        self._summary = Summary(left_out=list(found.left_out), failed=list(found.failed))

    def run(self) -> Summary:
        known = self._known()
        for source in self._sources:
            try:
                content = read(source)
                digest = sha256(content.encode()).hexdigest()
                if known.get(custom_id(self._container, source.name)) == digest:
                    self._summary.unchanged += 1
                else:
                    self._add(source, _request(self._container, source, content, digest))
                    continue
            except LeftOutError as error:
                listed = self._summary.failed if source.given else self._summary.left_out
                listed.append(Remark(source.name, str(error)))
            except UnreadableContentError as error:
                self._fail(source, str(error))
            except OSError as error:
                self._fail(source, error.strerror or str(error))
            self._advance(1)
        self._upload(wait=True)
        return self._summary

    def _known(self) -> dict[str, str]:
        """The digests of imported documents that have not failed, by custom id."""
        imported = Filter(condition=Condition(key=DIGEST_KEY, exists=True))
        request = ListDocumentsRequest(
            container_tags=[self._container], filter=imported, page_size=1000
        )
        known: dict[str, str] = {}
        while True:
            page = self._connection.call(self._connection.documents.ListDocuments, request)
            for document in page.documents:
                if document.status != DOCUMENT_STATUS_FAILED:
                    known[document.custom_id] = document.metadata.fields[DIGEST_KEY].string_value
            if not page.next_page_token:
                return known
            request.page_token = page.next_page_token

    def _add(self, source: Source, request: UpsertDocumentRequest) -> None:
        size = request.ByteSize()
        # Only when more files follow: the last batch is uploaded with `wait`.
        full = len(self._batch) == _BATCH_ITEMS or self._batch_bytes + size > _BATCH_BYTES
        if self._batch and full:
            self._upload()
        self._batch.append((source, request))
        self._batch_bytes += size

    def _upload(self, *, wait: bool = False) -> None:
        if not self._batch:
            return
        items = [item for _, item in self._batch]
        answer = self._connection.call(
            self._connection.documents.BatchUpsertDocuments,
            BatchUpsertDocumentsRequest(items=items, wait=wait),
            seconds=_WAIT_SECONDS if wait else _BATCH_SECONDS,
        )
        for (source, _), outcome in zip(self._batch, answer.outcomes, strict=True):
            if outcome.HasField("error"):
                self._fail(source, outcome.error.message)
            elif outcome.receipt.created:
                self._summary.new += 1
            else:
                self._summary.changed += 1
        self._advance(len(self._batch))
        self._batch.clear()
        self._batch_bytes = 0

    def _fail(self, source: Source, reason: str) -> None:
        self._summary.failed.append(Remark(source.name, printable(reason)))


def _request(container: str, source: Source, content: str, digest: str) -> UpsertDocumentRequest:
    """Raises UnreadableContentError for what the server could not process either."""
    metadata = Struct()
    metadata.update({"path": source.name, "suffix": source.path.suffix.lower(), DIGEST_KEY: digest})
    return UpsertDocumentRequest(
        content=content,
        content_kind=ContentKind.Value(f"CONTENT_KIND_{source.kind.name}"),
        custom_id=custom_id(container, source.name),
        container_tags=[container],
        metadata=metadata,
        title=_title(extractor_for(source.kind).extract(content)) or source.file_name,
    )


def _title(extract: Extract) -> str:
    """The first heading; empty when there is none."""
    for block in extract.blocks:
        if block.level:
            return " ".join(extract.text[block.start : block.end].split())[:_TITLE_LENGTH]
    return ""

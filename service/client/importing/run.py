"""An import, from the files to what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from palimpsest.v1.documents_pb2 import ContentKind, UpsertDocumentRequest
from service.client.connection import Connection
from service.client.importing.files import Found, Remark, Source
from service.client.importing.imported import (
    Imported,
    list_imported,
    marks,
)
from service.client.importing.moved import require_unmoved
from service.client.importing.pruning import Pruned, prune, reason_to_keep
from service.client.importing.reading import LeftOutError, read
from service.client.importing.recognition import Recognition
from service.client.importing.uploads import BATCH_ITEMS, Uploads
from service.content.base import UnreadableContentError
from service.content.registry import extractor_for
from service.core.model import Content, encoded

_TITLE_LENGTH: Final = 200


class Progress(Protocol):
    """What is told how far an import is."""

    def stage(self, label: str) -> None:
        """What is being done from now on."""

    def advance(self, files: int) -> None:
        """This many more files are done."""


@dataclass(slots=True)
class Summary:
    """The result of an import: numbers of files, and names of those to tell about.

    Attributes:
        new: Documents that were created.
        changed: Documents that were changed.
        unchanged: Files whose documents are as they should be.
        processing: Documents that were uploaded and cannot be found yet.
        textless: Documents that were uploaded and in which no text was found.
        left_out: Files that are not imported.
        failed: What could not be imported or taken away.
        gone: Documents from the given folders whose files are no longer there.
        unrecognised: Documents of earlier releases that belong to no file found.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    processing: int = 0
    textless: list[str] = field(default_factory=list)
    left_out: list[Remark] = field(default_factory=list)
    failed: list[Remark] = field(default_factory=list)
    gone: Pruned = field(default_factory=Pruned)
    unrecognised: list[str] = field(default_factory=list)


def import_files(
    connection: Connection,
    container: str,
    found: Found,
    base: Path,
    progress: Progress,
    *,
    prune_gone: bool = False,
    wait_seconds: float = 60,
    batch_items: int = BATCH_ITEMS,
) -> Summary:
    """Upload what the server does not have, has with other content, or failed to process.

    Args:
        connection: To the server.
        container: Where the documents go.
        found: The files.
        base: The working folder.
        progress: Is told how far it is.
        prune_gone: Take away documents whose files are no longer there, unless something
            fails.
        wait_seconds: How long to wait at the end until what was uploaded can be found.
        batch_items: How many files are uploaded in one call, at most.

    Raises:
        AmbiguousRootError: It is not clear which folder is meant; nothing was uploaded.
        ServerError: A call failed. What was uploaded stays, and a further import
            goes on from there.
    """
    progress.stage("Comparing")
    imported = list_imported(connection, container)
    recognition = Recognition(container, found, imported, base.resolve())
    require_unmoved(found, recognition, _digest_of)
    uploads = Uploads(connection, progress.advance, batch_items)
    run = _Import(connection, container, found, recognition, progress, uploads)
    run.upload(wait_seconds)
    run.settle()
    run.look_for_gone(prune_gone=prune_gone)
    return run.summary


class _Import:
    def __init__(
        self,
        connection: Connection,
        container: str,
        found: Found,
        recognition: Recognition,
        progress: Progress,
        uploads: Uploads,
    ) -> None:
        self.summary = Summary(left_out=list(found.left_out), failed=list(found.failed))
        self._connection = connection
        self._container = container
        self._found = found
        self._recognition = recognition
        self._progress = progress
        self._uploads = uploads

    def upload(self, wait_seconds: float) -> None:
        self._progress.stage("Importing")
        for source in self._found.sources:
            try:
                request = self._request(source)
            except LeftOutError as error:
                listed = self.summary.failed if source.given else self.summary.left_out
                listed.append(Remark(source.name, str(error)))
            except UnreadableContentError as error:
                self.summary.failed.append(Remark(source.name, str(error)))
            except OSError as error:
                self.summary.failed.append(Remark(source.name, error.strerror or str(error)))
            else:
                if request is not None:
                    self._uploads.add(source, request)
                    continue
                self.summary.unchanged += 1
            self._progress.advance(1)
        if self._uploads.pending:
            self._progress.stage("Waiting until all can be found")
            self._uploads.finish(wait_seconds)
        self.summary.failed += self._uploads.failed

    def settle(self) -> None:
        """Look what has become of the documents that were uploaded."""
        created = dict(self._uploads.created)
        for document in list_imported(self._connection, self._container) if created else ():
            if document.custom_id not in created:
                continue
            if document.error:
                del created[document.custom_id]
                self.summary.failed.append(Remark(document.name, document.error))
            elif document.processing:
                self.summary.processing += 1
            elif document.textless:
                self.summary.textless.append(document.name)
        self.summary.new = sum(created.values())
        self.summary.changed = len(created) - self.summary.new

    def look_for_gone(self, *, prune_gone: bool) -> None:
        gone = self._recognition.gone()
        if prune_gone:
            reason = reason_to_keep(self._found, failed=bool(self.summary.failed))
            self.summary.gone = prune(self._connection, gone, reason)
            self.summary.failed += self.summary.gone.failed
        else:
            self.summary.gone = Pruned(left=[document.name for document in gone])
        self.summary.unrecognised = [document.name for document in self._recognition.unrecognised]

    def _request(self, source: Source) -> UpsertDocumentRequest | None:
        """What to upload; None: nothing has changed.

        Raises LeftOutError and OSError if the file cannot be read, and
        UnreadableContentError for what the server could not process either.
        """
        content = read(source)
        digest = _digest(content)
        document = self._recognition.document_of(source, digest)
        root, name = source.root.id, source.name
        if document is not None and document.root and not source.root.named:
            root, name = document.root, document.name  # of a folder above, or this one
        if document is not None and _is_current(document, root, name, digest):
            return None
        made = document.custom_id if document is not None else self._recognition.new_id(source)
        text, data = (content, b"") if isinstance(content, str) else ("", content)
        return UpsertDocumentRequest(
            content=text,
            content_bytes=data,
            content_kind=ContentKind.Value(f"CONTENT_KIND_{source.kind.name}"),
            custom_id=made,
            container_tags=_containers(document, self._container),
            metadata=marks(root, name, source.path.suffix.lower(), digest),
            title=_title(source, content),
        )


def _containers(document: Imported | None, container: str) -> list[str]:
    """Where the document is, or is to be: first its home, which may be another by now."""
    return [container] if document is None else list(dict.fromkeys((document.home, container)))


def _is_current(document: Imported, root: str, name: str, digest: str) -> bool:
    return (document.root, document.name, document.digest) == (root, name, digest) and (
        not document.error
    )


def _digest(content: Content) -> str:
    return sha256(encoded(content)).hexdigest()


def _digest_of(source: Source) -> str | None:
    try:
        return _digest(read(source))
    except (LeftOutError, OSError):
        return None


def _title(source: Source, content: Content) -> str:
    """The first heading of a text; without one, and of other files, the name of the file."""
    if isinstance(content, str):
        extract = extractor_for(source.kind).extract(content)
        for block in extract.blocks:
            if block.level:
                return " ".join(extract.text[block.start : block.end].split())[:_TITLE_LENGTH]
    return source.file_name

"""The documents that imports have made: how they are marked and listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.struct_pb2 import Struct

from palimpsest.v1.documents_pb2 import (
    DOCUMENT_STATUS_DONE,
    DOCUMENT_STATUS_FAILED,
    Document,
    ListDocumentsRequest,
)
from palimpsest.v1.filter_pb2 import Condition, Filter
from service.client.connection import Connection
from service.client.importing.roots import id_prefix
from service.client.printable import printable

# Metadata keys.
NAME_KEY: Final = "path"
"""The name of the file: its path in its root, behind the root's name."""
SUFFIX_KEY: Final = "suffix"
DIGEST_KEY: Final = "import_digest"
"""The SHA-256 of the content, by which the next import recognises it."""
ROOT_KEY: Final = "import_root"
"""The id of the root. Documents of earlier releases have none."""

_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Imported:
    """A document that an import has made.

    Attributes:
        id: Its id.
        custom_id: Its custom id.
        home: The container that the custom id is unique in.
        digest: Of the content that was imported.
        root: The id of its root; empty: an earlier release has imported it.
        name: Of its file.
        error: Why it could not be processed; empty if it could, or is not yet.
        processing: It is not processed yet.
        textless: It is processed, and no text was found in it.
        shared: It is in other containers, too.
    """

    id: str
    custom_id: str
    home: str
    digest: str
    root: str
    name: str
    error: str
    shared: bool
    processing: bool = False
    textless: bool = False


def marks(root: str, name: str, suffix: str, digest: str) -> Struct:
    """The metadata of a document, by which `list_imported` finds it."""
    metadata = Struct()
    metadata.update({NAME_KEY: name, SUFFIX_KEY: suffix, DIGEST_KEY: digest, ROOT_KEY: root})
    return metadata


def list_imported(connection: Connection, container: str) -> Iterator[Imported]:
    """What has been imported into a container; raises ServerError."""
    request = ListDocumentsRequest(
        container_tags=[container],
        filter=Filter(condition=Condition(key=DIGEST_KEY, exists=True)),
        page_size=_PAGE,
    )
    while True:
        page = connection.call(connection.documents.ListDocuments, request)
        for document in page.documents:
            if document.custom_id.startswith(id_prefix(container)):
                yield _read(document)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _read(document: Document) -> Imported:
    fields = document.metadata.fields
    done = document.status == DOCUMENT_STATUS_DONE
    failed = document.status == DOCUMENT_STATUS_FAILED
    return Imported(
        id=document.id,
        custom_id=document.custom_id,
        home=document.container_tags[0],
        digest=fields[DIGEST_KEY].string_value,
        root=fields[ROOT_KEY].string_value if ROOT_KEY in fields else "",
        name=printable(fields[NAME_KEY].string_value) if NAME_KEY in fields else "",
        error=printable(document.error or "could not be processed") if failed else "",
        shared=len(document.container_tags) > 1,
        processing=not (done or failed),
        textless=done and not document.chunk_count,
    )

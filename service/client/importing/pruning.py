"""Taking away documents whose files are no longer there."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from palimpsest.v1.documents_pb2 import BulkDeleteDocumentsRequest
from service.client.connection import Connection
from service.client.importing.files import Found, Remark
from service.client.importing.imported import Imported
from service.client.printable import printable

_DELETED_AT_ONCE: Final = 100
_NOT_FOUND: Final = "DOCUMENT_NOT_FOUND"


@dataclass(slots=True)
class Pruned:
    """What was taken away and what was not, by name.

    Attributes:
        taken: Documents that are no longer there.
        left: Documents that are.
        reason: Why they were left; empty: nobody asked for them to be taken away.
        failed: Those of them that the server did not delete.
    """

    taken: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    reason: str = ""
    failed: list[Remark] = field(default_factory=list)


def prune(connection: Connection, gone: Sequence[Imported], reason: str) -> Pruned:
    """Delete documents for good, but those that are in other containers, too.

    Args:
        connection: To the server.
        gone: The documents.
        reason: Why none of them is to be deleted; empty: nothing speaks against it.

    Raises:
        ServerError: A call failed; what was deleted before stays deleted.
    """
    if reason:
        return Pruned(left=[document.name for document in gone], reason=reason)
    pruned = Pruned(reason="in other containers, too")
    pruned.left = [document.name for document in gone if document.shared]
    alone = [document for document in gone if not document.shared]
    for start in range(0, len(alone), _DELETED_AT_ONCE):
        _delete(connection, alone[start : start + _DELETED_AT_ONCE], pruned)
    return pruned


def reason_to_keep(found: Found, *, failed: bool) -> str:
    """Why nothing is to be taken away after this import; empty: nothing speaks against it."""
    if failed:
        return "something failed"
    seen = {root for root, _ in found.seen}
    for folder in found.folders:
        if folder.id not in seen:  # a drive that is not there looks like this
            return f"there is no file at all in {folder.name}"
    return ""


def _delete(connection: Connection, documents: Sequence[Imported], pruned: Pruned) -> None:
    request = BulkDeleteDocumentsRequest(
        ids=[document.id for document in documents], request_id=str(uuid.uuid4())
    )
    answer = connection.call(connection.documents.BulkDeleteDocuments, request)
    failed = {
        error.index: printable(error.error.message)
        for error in answer.errors
        if error.error.reason != _NOT_FOUND
    }
    for index, document in enumerate(documents):
        if index in failed:
            pruned.failed.append(Remark(document.name, failed[index]))
        else:
            pruned.taken.append(document.name)

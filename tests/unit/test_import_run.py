"""What an import tells of documents that are not done, and of those that it cannot take away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from palimpsest.v1 import documents_pb2 as pb
from palimpsest.v1.errors_pb2 import ItemError
from service.client.connection import Connection
from service.client.importing.files import Remark, find
from service.client.importing.run import Summary, import_files
from service.client.importing.uploads import BATCH_ITEMS


class Server:
    """Keeps documents, and gives each the status that a test says.

    Attributes:
        documents: By custom id.
        status: Of documents that are uploaded.
        undeletable: Reasons of the errors of bulk deletions, by custom id.
        batches: How many documents each upload had, and whether it was waited for.
    """

    def __init__(self) -> None:
        self.documents: dict[str, pb.Document] = {}
        self.status = pb.DOCUMENT_STATUS_DONE
        self.undeletable: dict[str, str] = {}
        self.batches: list[tuple[int, bool]] = []
        self.stages: list[str] = []
        self.advanced = 0
        self.stubs = SimpleNamespace(
            ListDocuments=self.list,
            BatchUpsertDocuments=self.upsert,
            BulkDeleteDocuments=self.delete,
        )

    def list(self, request: pb.ListDocumentsRequest) -> pb.ListDocumentsResponse:
        """Two on each page, of which the second may be empty."""
        found = list(self.documents.values())
        start = int(request.page_token or 0)
        token = str(start + 2) if len(found) > start else ""
        return pb.ListDocumentsResponse(documents=found[start : start + 2], next_page_token=token)

    def upsert(self, request: pb.BatchUpsertDocumentsRequest) -> pb.BatchUpsertDocumentsResponse:
        answer = pb.BatchUpsertDocumentsResponse()
        self.batches.append((len(request.items), request.wait))
        for item in request.items:
            receipt = answer.outcomes.add().receipt
            receipt.created = item.custom_id not in self.documents
            self.documents[item.custom_id] = pb.Document(
                id=f"doc_{item.custom_id}",
                custom_id=item.custom_id,
                metadata=item.metadata,
                container_tags=item.container_tags,
                status=self.status,
                error="too many pages" if self.status == pb.DOCUMENT_STATUS_FAILED else "",
            )
        return answer

    def delete(self, request: pb.BulkDeleteDocumentsRequest) -> pb.BulkDeleteDocumentsResponse:
        answer = pb.BulkDeleteDocumentsResponse()
        for index, name in enumerate(request.ids):
            custom_id = name.removeprefix("doc_")
            if custom_id in self.undeletable:
                error = ItemError(reason=self.undeletable[custom_id], message="not now")
                answer.errors.add(index=index, id=name, error=error)
            else:
                del self.documents[custom_id]
        return answer

    def stage(self, label: str) -> None:
        self.stages.append(label)

    def advance(self, files: int) -> None:
        self.advanced += files

    def run(self, folder: Path, *, prune: bool = False, batch_items: int = BATCH_ITEMS) -> Summary:
        def call(method: Callable[[object], object], request: object, **_: Any) -> object:
            return method(request)

        connection = cast(Connection, SimpleNamespace(documents=self.stubs, call=call))
        return import_files(
            connection,
            "c",
            find([folder]),
            folder,
            self,
            prune_gone=prune,
            batch_items=batch_items,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in "abcde":
        (folder / f"{name}.txt").write_text(f"This is {name}.")
    return folder


def test_what_is_still_being_processed(folder: Path) -> None:
    server = Server()
    server.status = pb.DOCUMENT_STATUS_EMBEDDING
    summary = server.run(folder)
    assert (summary.new, summary.processing, summary.failed) == (5, 5, [])
    # What others have uploaded, or an earlier import, is none of it.
    server.status = pb.DOCUMENT_STATUS_DONE
    (folder / "a.txt").write_text("Another text.")
    summary = server.run(folder)
    assert (summary.changed, summary.unchanged, summary.processing) == (1, 4, 0)


def test_what_could_not_be_processed_has_failed_and_is_uploaded_again(folder: Path) -> None:
    server = Server()
    server.status = pb.DOCUMENT_STATUS_FAILED
    for _ in range(2):
        summary = server.run(folder)
        assert (summary.new, summary.changed, summary.unchanged) == (0, 0, 0)
        assert summary.failed == [Remark(f"docs/{n}.txt", "too many pages") for n in "abcde"]


@pytest.mark.parametrize(
    ("batch_items", "batches"),
    [
        (2, [(2, False), (2, False), (1, True)]),
        (5, [(5, True)]),
        (6, [(5, True)]),
    ],
)
def test_the_last_batch_is_waited_for(
    folder: Path, batch_items: int, batches: list[tuple[int, bool]]
) -> None:
    server = Server()
    assert server.run(folder, batch_items=batch_items).new == 5
    assert server.batches == batches


def test_progress_is_told(folder: Path) -> None:
    server = Server()
    server.run(folder)
    assert server.stages == ["Comparing", "Importing", "Waiting until all can be found"]
    server.stages.clear()
    server.run(folder)
    assert server.stages == ["Comparing", "Importing"]
    assert server.advanced == 10


def test_documents_that_cannot_be_taken_away(folder: Path) -> None:
    server = Server()
    server.run(folder)
    for name in "abc":
        (folder / f"{name}.txt").unlink()
    server.undeletable = {
        "file:c|docs/a.txt": "CONCURRENT_CHANGE",
        "file:c|docs/b.txt": "DOCUMENT_NOT_FOUND",
    }
    summary = server.run(folder, prune=True)
    assert summary.failed == [Remark("docs/a.txt", "not now")]
    assert summary.gone.taken == ["docs/b.txt", "docs/c.txt"]
    assert summary.gone.left == []
    assert "file:c|docs/c.txt" not in server.documents

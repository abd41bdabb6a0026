"""PDF and Word documents on the wire: written, read in a compute worker, found, and refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from palimpsest.v1 import documents_pb2 as d
from tests.client import refused
from tests.files import docx, paragraph, pdf, pdf_objects, shown, stream
from tests.finding.service_harness import ServiceHarness, running_harness
from tests.inprocess import ManualClock

pytestmark = pytest.mark.processes

PDF = pdf(["Quinces keep until spring,", "says Ann."], ["Medlars do not."], title="Larder")
DOCX = docx(paragraph("Larder", "H1") + paragraph("Walnuts keep until summer."))


@pytest_asyncio.fixture
async def harness(directory: Path, clock: ManualClock) -> AsyncIterator[ServiceHarness]:
    async with running_harness(directory, clock, compute_processes=1, attempts=1) as made:
        yield made


async def put(harness: ServiceHarness, data: bytes, **fields: object) -> d.DocumentReceipt:
    request = d.UpsertDocumentRequest(content_bytes=data, wait=True, **fields)  # type: ignore[arg-type]
    return (await harness.client.documents.UpsertDocument(request)).receipt


async def test_files_are_found_by_what_they_say(harness: ServiceHarness) -> None:
    await put(harness, PDF, custom_id="pdf")
    request = d.BatchUpsertDocumentsRequest(
        items=[
            d.UpsertDocumentRequest(
                content_bytes=DOCX, custom_id="docx", content_kind=d.CONTENT_KIND_DOCX
            ),
            d.UpsertDocumentRequest(content="Almonds.", custom_id="text"),
        ],
        wait=True,
    )
    await harness.client.documents.BatchUpsertDocuments(request)
    for name, data, kind, words, text in (
        ("pdf", PDF, d.CONTENT_KIND_PDF, "quinces spring", "Quinces keep until spring"),
        ("docx", DOCX, d.CONTENT_KIND_DOCX, "walnuts summer", "Walnuts keep until summer."),
    ):
        document = await harness.client.get(name)
        assert document.status == d.DOCUMENT_STATUS_DONE
        assert (document.content_kind, document.content_bytes) == (kind, data)
        assert not document.content
        assert document.chunk_count == 1
        hits = await harness.search(words, include_content=True)
        assert text in hits[0].chunks[0].chunk.text
        assert hits[0].chunks[0].chunk.heading == "Larder"
        document.ClearField("content_bytes")
        assert hits[0].document == document
    (hit,) = await harness.search("almonds", include_content=True, limit=1)
    assert hit.document.content == "Almonds."
    listed = await harness.client.documents.ListDocuments(
        d.ListDocumentsRequest(include_content=True)
    )
    assert [(one.content, one.content_bytes) for one in listed.documents] == [
        ("Almonds.", b""),
        ("", b""),
        ("", b""),
    ]


async def test_a_file_takes_the_place_of_a_text_and_a_text_that_of_a_file(
    harness: ServiceHarness,
) -> None:
    await harness.client.put("almonds", custom_id="a", wait=True)
    first = await put(harness, PDF, custom_id="a")
    again = await put(harness, PDF, custom_id="a")
    assert (again.changed, again.etag) == (False, first.etag)
    assert await harness.texts("almonds quinces medlars") == [
        "Larder\n\nQuinces keep until spring,\nsays Ann.\n\nMedlars do not."
    ]
    update = d.UpdateDocumentRequest(id="a", content_bytes=DOCX, wait=True)
    changed = (await harness.client.documents.UpdateDocument(update)).receipt
    assert changed.etag != first.etag
    assert (await harness.client.get("a")).content_kind == d.CONTENT_KIND_DOCX
    update = d.UpdateDocumentRequest(id="a", content="almonds", wait=True)
    await harness.client.documents.UpdateDocument(update)
    document = await harness.client.get("a")
    assert (document.content_kind, document.content) == (d.CONTENT_KIND_TEXT, "almonds")
    assert document.content_bytes == b""
    assert await harness.texts("almonds quinces medlars") == ["almonds"]


async def test_what_does_not_fit_together_is_refused(harness: ServiceHarness) -> None:
    async def fields(**given: object) -> list[str]:
        request = d.UpsertDocumentRequest(**given)  # type: ignore[arg-type]
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
            await harness.client.documents.UpsertDocument(request)
        return refusal.fields

    large = PDF + bytes(3 * (1 << 20))
    assert await fields(content_bytes=b"text") == ["content_bytes"]
    assert await fields(content_bytes=PDF, content_kind=d.CONTENT_KIND_TEXT) == ["content_kind"]
    assert await fields(content="x", content_kind=d.CONTENT_KIND_PDF) == ["content_kind"]
    assert await fields(content="x", content_bytes=PDF)
    assert await fields(content_bytes=large) == ["content_bytes"]
    await put(harness, large[: 3 * (1 << 20)], custom_id="a")
    assert (await harness.client.get("a")).content_bytes == large[: 3 * (1 << 20)]
    update = d.UpdateDocumentRequest(id="a", content_kind=d.CONTENT_KIND_MARKDOWN)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await harness.client.documents.UpdateDocument(update)
    assert refusal.fields == ["content_kind"]
    append = d.AppendMessagesRequest(id="a", messages=[d.ConversationMessage(text="hello")])
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "NOT_A_CONVERSATION"):
        await harness.client.documents.AppendMessages(append)


async def test_what_cannot_be_read_fails_alone_and_says_why(harness: ServiceHarness) -> None:
    circle = pdf_objects(
        {1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [2 0 R] >>"}
    )
    cases = {
        "circle": (circle, "not a PDF"),
        "stream": (pdf(["x"], content=stream(b" " * (100 << 20), packed=2)), "holds more"),
        "zip": (docx("", {"word/footnotes.xml": b" " * (40 << 20)}), "unpacks to more"),
        "wrong": (DOCX.replace(b"word/document.xml", b"word/document.xmk"), "not a Word document"),
    }
    request = d.BatchUpsertDocumentsRequest(
        items=[
            *(
                d.UpsertDocumentRequest(content_bytes=data, custom_id=name)
                for name, (data, _) in cases.items()
            ),
            d.UpsertDocumentRequest(content_bytes=PDF, custom_id="good"),
            d.UpsertDocumentRequest(content="almonds", custom_id="text"),
        ],
        wait=True,
    )
    await harness.client.documents.BatchUpsertDocuments(request)
    for name, (_, reason) in cases.items():
        document = await harness.settled(name)
        assert document.status == d.DOCUMENT_STATUS_FAILED
        assert reason in document.error
        assert document.chunk_count == 0
    for name in ("good", "text"):
        assert (await harness.settled(name)).status == d.DOCUMENT_STATUS_DONE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(
            pdf(["x"], content=stream(shown(["a" * 50] * 600_000), packed=2)),
            "30 seconds of processor time",
            id="time",
        ),
        pytest.param(docx(paragraph("ab") * 400_000), "512 MiB of memory", id="memory"),
    ],
)
async def test_a_file_that_needs_too_much_fails_and_its_worker_lives(
    harness: ServiceHarness, data: bytes, reason: str
) -> None:
    assert len(data) < 100_000
    await put(harness, data, custom_id="bomb")
    document = await harness.settled("bomb")
    assert document.status == d.DOCUMENT_STATUS_FAILED
    assert reason in document.error
    await put(harness, PDF, custom_id="good")
    assert (await harness.settled("good")).status == d.DOCUMENT_STATUS_DONE


async def test_without_compute_processes_files_fail_with_advice(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(directory, clock, embedder="words:a", attempts=1) as harness:
        await put(harness, PDF, custom_id="a")
        document = await harness.settled("a")
        assert document.status == d.DOCUMENT_STATUS_FAILED
        assert "--compute-processes" in document.error

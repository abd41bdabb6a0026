"""Forms with files: what is read out of them, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.v1 import documents_pb2 as pb
from service.core.errors import PalimpsestError
from service.http.endpoints import HttpAnswer, HttpRequest
from service.http.supermemory import uploads
from service.http.supermemory.errors import answer_for
from tests.files import docx, paragraph, pdf

BOUNDARY = "a-boundary"


class Calls:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[pb.UpsertDocumentRequest] = []

    async def call(self, method: str, request: Any) -> pb.UpsertDocumentResponse:
        assert method == "Documents.UpsertDocument"
        self.written.append(request)
        receipt = pb.DocumentReceipt(id="doc_1", status=pb.DOCUMENT_STATUS_QUEUED)
        return pb.UpsertDocumentResponse(receipt=receipt)

    numbered_documents: Any = None
    numbered_memories: Any = None
    stream: Any = None


def part(name: str, data: bytes, *, file: str | None = None, media: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    if file is not None:
        head += f'; filename="{file}"'
    if media:
        head += f"\r\nContent-Type: {media}"
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


async def send(body: bytes, content_type: str | None = None) -> tuple[HttpAnswer, Calls]:
    calls = Calls()
    headers = {"content-type": content_type or f"multipart/form-data; boundary={BOUNDARY}"}
    try:
        answer = await uploads.ENDPOINTS[0].handler(calls, HttpRequest({}, {}, headers, body))
    except PalimpsestError as error:
        answer = answer_for(error)
    return answer, calls


async def written(*parts: bytes) -> pb.UpsertDocumentRequest:
    answer, calls = await send(b"".join(parts) + END)
    assert answer.status == 200, answer.body
    return calls.written[0]


TEXT, MARKDOWN, HTML = pb.CONTENT_KIND_TEXT, pb.CONTENT_KIND_MARKDOWN, pb.CONTENT_KIND_HTML


@pytest.mark.parametrize(
    ("name", "media", "data", "kind", "content"),
    [
        ("a.txt", "", b"text", TEXT, "text"),
        ("a.md", "", b"# Head", MARKDOWN, "# Head"),
        ("a.html", "", b"<p>x</p>", HTML, "<p>x</p>"),
        ("README", "", b"text", TEXT, "text"),
        ("upload", "text/html", b"<p>x</p>", HTML, "<p>x</p>"),
        ("blob", "text/markdown; charset=utf-8", b"# Head", MARKDOWN, "# Head"),
        ("a.txt", "text/html", b"<p>x</p>", TEXT, "<p>x</p>"),
        ("a.txt", "", "café".encode("utf-16"), TEXT, "café"),
        ("a.html", "", b'<meta charset="latin1">caf\xe9', HTML, '<meta charset="latin1">café'),
    ],
)
async def test_a_text_is_read_by_its_name(
    name: str, media: str, data: bytes, kind: int, content: str
) -> None:
    request = await written(part("file", data, file=name, media=media))
    assert (request.content_kind, request.content, request.title) == (kind, content, name)


@pytest.mark.parametrize("name", ["a.pdf", "upload", "unknown.bin"])
async def test_a_file_is_kept_byte_for_byte(name: str) -> None:
    data = pdf(["A line"])
    request = await written(part("file", data, file=name))
    assert (request.content_kind, request.content_bytes) == (pb.CONTENT_KIND_PDF, data)


async def test_a_word_document_is_known_by_its_bytes() -> None:
    data = docx(paragraph("A line"))
    request = await written(part("file", data, file="upload"))
    assert (request.content_kind, request.content_bytes) == (pb.CONTENT_KIND_DOCX, data)


async def test_what_goes_with_a_file_is_written_with_it() -> None:
    request = await written(
        part("metadata", b'{"a": 1, "b": ["x"]}'),
        part("containerTags", b'["one", "two"]'),
        part("customId", "naïve".encode()),
        part("file", b"text", file="a.txt"),
        part("fileType", b"text"),
        part("taskType", b"memory"),
        part("mimeType", b"text/plain"),
    )
    assert (list(request.container_tags), request.custom_id) == (["one", "two"], "naïve")
    assert dict(request.metadata)["a"] == 1


async def test_container_tags_may_be_one() -> None:
    request = await written(part("containerTags", b"one"), part("file", b"x", file="a.txt"))
    assert list(request.container_tags) == ["one"]


FILE = part("file", b"text", file="a.txt")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "no end"),
        (b"no form", 400, "not a form"),
        (FILE, 400, "no end"),
        (FILE[:-10], 400, "no end"),
        (END, 400, "file: must be given once"),
        (part("other", b"x") + END, 400, "file: must be given once"),
        (FILE + FILE + END, 400, "file: must be given once"),
        (FILE + part("customId", b"x") * 2 + END, 400, "customId: must be given once"),
        (FILE + part("customId", b"\xff") + END, 400, "customId: must be UTF-8"),
        (FILE + part("metadata", b"{") + END, 400, "metadata is not JSON"),
        (FILE + part("metadata", b"[]") + END, 400, "metadata: must be an object"),
        (FILE + part("metadata", b'{"a": {}}') + END, 400, "metadata.a: "),
        (FILE + part("containerTags", b"[1]") + END, 400, "containerTags[0]: must be a string"),
        (FILE + part("unknown", b"x") + END, 400, "unknown: is not known"),
        (FILE + part("dreaming", b"never") + END, 400, "dreaming: must be one of"),
        (FILE + part("customId", b"x" * 70_000) + END, 400, "customId: must be at most"),
        (FILE + b"".join(part(f"p{n}", b"x") for n in range(60)) + END, 400, "more than 50 parts"),
        (FILE.replace(b"form-data", b"attachment") + END, 400, "no name"),
        (FILE.replace(b'; name="file"', b"") + END, 400, "no name"),
        (
            FILE.replace(b"\r\n\r\n", b"\r\n" + b"x" * 9000 + b": y\r\n\r\n") + END,
            400,
            "not a form",
        ),
        (part("file", b"", file="a.txt") + END, 400, "file: must not be empty"),
        (part("file", b"\x89PNG\r\n\x1a\n", file="a.png") + END, 415, "cannot be read"),
        (part("file", b"MZ\0\0", file="a.txt") + END, 415, "neither text"),
        (part("file", b"caf\xe9", file="a.txt") + END, 415, "neither text"),
        (FILE + part("fileType", b"video") + END, 415, "cannot be read"),
        (part("file", b"x" * 5_300_000, file="a.txt") + END, 413, "bytes at most"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_form_that_is_wrong_is_refused(body: bytes, status: int, said: str) -> None:
    answer, calls = await send(body)
    assert (answer.status, calls.written) == (status, [])
    assert said in json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "x" * 300]
)
async def test_a_form_without_its_boundary_is_refused(content_type: str) -> None:
    answer, _ = await send(FILE + END, content_type)
    assert answer.status == 400


async def test_a_boundary_that_is_too_long_is_refused() -> None:
    answer, _ = await send(FILE + END, "multipart/form-data; boundary=" + "x" * 300)
    assert answer.status == 400


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 200))
async def test_no_bytes_break_it(noise: bytes, cut: int, again: int) -> None:
    body = part("metadata", b"{}") + FILE + END
    for hostile in (noise, body[:cut] + noise + body[again:], body.replace(b"text", noise)):
        answer, _ = await send(hostile)
        assert answer.status in (200, 400, 415)

"""/v3/documents/file: documents that are files, as forms with parts (RFC 7578)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from palimpsest.v1 import documents_pb2 as pb
from service.content.decoding import decode
from service.content.file_names import kind_of as kind_of_name
from service.core.errors import PalimpsestError, Reason, Violation, invalid
from service.core.files import kind_of as kind_of_bytes
from service.core.model import FILE_KINDS, ContentKind
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.errors import unsupported_media
from service.http.supermemory.answers import answer
from service.http.supermemory.bodies import Fields, parse
from service.http.supermemory.documents import added, read_write
from service.http.supermemory.errors import call
from service.rpc.to_thread import MANY_BYTES, to_thread_if

_MAX_BYTES: Final = 5 * 1024 * 1024
"""Of a form: a text of the largest size in the widest encoding, and what is said of it."""
_MAX_PARTS: Final = 50
_MAX_TEXT: Final = 64 * 1024
"""Of a part that is no file, in bytes."""

_TITLE: Final = 1_000
_FORM: Final = "multipart/form-data"
_BY_TYPE: Final = {"text": ContentKind.TEXT, "pdf": ContentKind.PDF, "webpage": ContentKind.HTML}
"""What the caller calls the kinds."""
_BY_MEDIA: Final = {b"text/html": ContentKind.HTML, b"text/markdown": ContentKind.MARKDOWN}


@dataclass(slots=True)
class _Part:
    """A part of a form; a text has no file name."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    name: str = ""
    file_name: str | None = None

    def named(self) -> None:
        """Its headers are complete: find its names in them."""
        kind, options = parse_options_header(self.headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise _malformed("a part has no name")
        self.name = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            self.file_name = options[b"filename"].decode("utf-8", "replace")


class _Form:
    """Collects the parts of a form as the parser finds them."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.ended = False
        self._field = b""
        self._value = b""

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) == _MAX_PARTS:
            raise _malformed(f"the form has more than {_MAX_PARTS} parts")
        self.parts.append(_Part())

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += data[start:end]

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self.parts[-1].headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _headers_end(self) -> None:
        self.parts[-1].named()

    def _end(self) -> None:
        self.ended = True


def _malformed(fault: str) -> PalimpsestError:
    return PalimpsestError(Reason.MALFORMED_MESSAGE, fault)


def _parts(boundary: bytes, body: bytes) -> list[_Part]:
    form = _Form()
    try:
        MultipartParser(boundary, form.callbacks()).write(body)
    except FormParserError as error:
        raise _malformed(f"the body is not a form: {error}") from None
    if not form.ended:
        raise _malformed("the form has no end")
    return form.parts


async def _upload(calls: Calls, request: HttpRequest) -> HttpAnswer:
    _, options = parse_options_header(request.headers.get("content-type"))
    if not options.get(b"boundary"):
        raise _malformed("the content type names no boundary")
    body = request.body
    if len(body) > _MAX_BYTES:
        raise PalimpsestError(
            Reason.MESSAGE_TOO_LARGE, f"A form with a file may have {_MAX_BYTES:,} bytes at most"
        )
    parts = await to_thread_if(len(body) >= MANY_BYTES, _parts, options[b"boundary"], body)
    file, texts = _sorted(parts)
    fields = Fields(texts)
    message = pb.UpsertDocumentRequest(request_id=request.request_id, etag=request.etag)
    names = read_write(fields, message)
    file_type = fields.text("fileType")
    fields.text("mimeType")
    fields.text("useAdvancedProcessing")
    fields.check()
    _read_file(file, file_type, message)
    if file.file_name and "\0" not in file.file_name:
        message.title = file.file_name[:_TITLE]
    names |= {"content": "file", "content_bytes": "file", "content_kind": "fileType"}
    response = await call(calls, "Documents.UpsertDocument", message, names)
    return answer(added(response.receipt), etag=response.receipt.etag)


def _sorted(parts: list[_Part]) -> tuple[_Part, Mapping[str, Any]]:
    """The file, and the values of the other parts by name."""
    files = [part for part in parts if part.name == "file"]
    if len(files) != 1:
        raise invalid([Violation("file", "must be given once")])
    values: dict[str, Any] = {}
    for part in parts:
        if part is files[0]:
            continue
        if part.name in values:
            raise invalid([Violation(part.name, "must be given once")])
        values[part.name] = _value(part)
    return files[0], values


def _value(part: _Part) -> Any:
    if len(part.data) > _MAX_TEXT:
        raise invalid([Violation(part.name, f"must be at most {_MAX_TEXT:,} bytes")])
    try:
        text = part.data.decode()
    except UnicodeDecodeError:
        raise invalid([Violation(part.name, "must be UTF-8")]) from None
    if part.name in ("metadata", "filterByMetadata"):
        return parse(bytes(part.data), part.name)
    if part.name == "containerTags":
        return _tags(text)
    return text


def _tags(text: str) -> list[Any]:
    """A list as JSON, or one tag as it is."""
    if not text.lstrip().startswith("["):
        return [text]
    found = parse(text.encode(), "containerTags")
    return found if isinstance(found, list) else [found]


def _read_file(file: _Part, file_type: str | None, message: pb.UpsertDocumentRequest) -> None:
    data = bytes(file.data)
    if not data:
        raise invalid([Violation("file", "must not be empty")])
    kind = _kind(file, file_type, data)
    message.content_kind = pb.ContentKind.ValueType(kind)
    if kind in FILE_KINDS:
        message.content_bytes = data
        return
    try:
        text = decode(data, page=kind is ContentKind.HTML)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise unsupported_media("The file is neither text nor of another kind that can be read")
    message.content = text


def _kind(file: _Part, file_type: str | None, data: bytes) -> ContentKind:
    """By what the caller says, the name of the file, or its bytes."""
    kind: ContentKind | None
    if file_type is not None:
        kind = _BY_TYPE.get(file_type)
    else:
        name = file.file_name or ""
        kind = kind_of_name(name)
        if kind is None or "." not in name:
            media, _ = parse_options_header(file.headers.get(b"content-type"))
            kind = kind_of_bytes(data) or _BY_MEDIA.get(media) or kind
    if kind is None:
        raise unsupported_media(
            "This kind of file cannot be read; text, Markdown, HTML, PDF and Word (DOCX) can"
        )
    return kind


ENDPOINTS: Final = (Endpoint("POST", "/v3/documents/file", _upload, writes=True, takes=_FORM),)

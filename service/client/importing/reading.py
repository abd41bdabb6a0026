"""Reading the files to import."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from service.client.importing.files import Source
from service.content.decoding import decode
from service.core.model import FILE_KINDS, Content, ContentKind

# Of a document's content, as in the contract.
MAX_TEXT_BYTES: Final = 1_048_576
"""In UTF-8."""
MAX_FILE_BYTES: Final = 3_145_728

_READ_BYTES: Final = 4 * MAX_TEXT_BYTES
"""No longer text fits, in whatever encoding."""

_TOO_LARGE: Final = "larger than 1 MiB"
_TYPES: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# Without it, opening a file that has become a pipe would wait for a writer.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class LeftOutError(Exception):
    """A file that is not imported; the text says why, in a few words."""


def read(source: Source) -> Content:
    """The content of a file: bytes if its kind is one of FILE_KINDS, else text.

    Raises:
        LeftOutError: It cannot be imported.
        OSError: It cannot be read.
    """
    if source.kind in FILE_KINDS:
        data = _read(source.path, MAX_FILE_BYTES, "larger than 3 MiB")
        if not data:
            raise LeftOutError("empty")
        return data
    return _text(_read(source.path, _READ_BYTES, _TOO_LARGE), source.kind)


def _text(data: bytes, kind: ContentKind) -> str:
    try:
        text = decode(data, page=kind is ContentKind.HTML)
    except UnicodeDecodeError:
        raise LeftOutError("binary" if b"\0" in data else "not UTF-8") from None
    if "\0" in text:
        raise LeftOutError("binary")
    if not text.strip():
        raise LeftOutError("empty")
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise LeftOutError(_TOO_LARGE)
    return text


def _read(path: Path, limit: int, too_large: str) -> bytes:
    _require_file(path.stat())  # opening a device may set something off
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _require_file(os.fstat(file.fileno()))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LeftOutError(too_large)
    return data


def _require_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LeftOutError(_TYPES.get(stat.S_IFMT(status.st_mode), "not a file"))

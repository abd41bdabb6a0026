"""Reading the files to import."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from service.client.importing.decoding import decode
from service.client.importing.files import Source
from service.core.model import ContentKind

MAX_BYTES: Final = 1_048_576
"""Of a document's content in UTF-8, as in the contract."""

_MAX_FILE_BYTES: Final = 4 * MAX_BYTES
"""No longer text fits, in whatever encoding."""

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


def read(source: Source) -> str:
    """The text of a file; raises LeftOutError if it cannot be imported, and OSError."""
    data = _read(source.path)
    try:
        text = decode(data, page=source.kind is ContentKind.HTML)
    except UnicodeDecodeError:
        raise LeftOutError("binary" if b"\0" in data else "not UTF-8") from None
    if "\0" in text:
        raise LeftOutError("binary")
    if not text.strip():
        raise LeftOutError("empty")
    if len(text.encode()) > MAX_BYTES:
        raise LeftOutError("larger than 1 MiB")
    return text


def _read(path: Path) -> bytes:
    _require_file(path.stat())  # opening a device may set something off
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _require_file(os.fstat(file.fileno()))
        data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise LeftOutError("larger than 1 MiB")
    return data


def _require_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LeftOutError(_TYPES.get(stat.S_IFMT(status.st_mode), "not a file"))
    if status.st_size > _MAX_FILE_BYTES:
        raise LeftOutError("larger than 1 MiB")

"""Bytes that no library would write: protobuf's encoding by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor import FieldDescriptor

from tests.hostile.contract import Path

BROKEN_TEXTS: Final = {
    "lone high surrogate": b"\xed\xa0\x80",
    "lone low surrogate": b"\xed\xbf\xbf",
    "surrogate pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "overlong NUL": b"\xc0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "cut off": b"\xe2\x82",
    "no UTF-8": b"\xff\xfe",
}

_VALUES: Final = (
    (0, b"\x01"),
    (0, b"\xff" * 9 + b"\x01"),
    (0, b"\xff" * 11),
    (1, b"\xff" * 8),
    (2, b"\x00"),
    (2, b"\x02\xff\xff"),
    (2, b"\x7f"),
    (2, b"\xff\xff\xff\xff\x0f"),
    (3, b""),
    (4, b""),
    (5, b"\xff" * 4),
    (6, b""),
    (7, b"\x01"),
)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(field: FieldDescriptor, kind: int) -> bytes:
    return varint(field.number << 3 | kind)


def inside(path: Path, content: bytes) -> bytes:
    """`content` as the field values of the message that holds the last field of `path`."""
    for field in reversed(path[:-1]):
        content = tag(field, 2) + varint(len(content)) + content
    return content


def text(path: Path, raw: bytes) -> bytes:
    """A text field with these bytes."""
    return inside(path, tag(path[-1], 2) + varint(len(raw)) + raw)


def wrong_kinds(path: Path) -> Iterator[tuple[str, bytes]]:
    """The field in every wire type there is, and in two there are not."""
    for kind, value in _VALUES:
        yield f"wire type {kind} {value[:4].hex()}", inside(path, tag(path[-1], kind) + value)


def garbage(source: random.Random, valid: bytes) -> bytes:
    """Random bytes; or those of a valid message cut, flipped, doubled or stretched."""
    match source.randrange(6):
        case 0:
            return source.randbytes(source.randrange(200))
        case 1:
            return valid[: source.randrange(len(valid) + 1)]
        case 2 if valid:
            flipped = bytearray(valid)
            for _ in range(source.randrange(1, 4)):
                flipped[source.randrange(len(flipped))] ^= 1 << source.randrange(8)
            return bytes(flipped)
        case 3:
            at = source.randrange(len(valid) + 1)
            return valid[:at] + source.randbytes(source.randrange(1, 12)) + valid[at:]
        case 4:
            return valid * source.randrange(2, 40)
        case _:
            # Fields of the right numbers with values of chance.
            return b"".join(
                varint(source.randrange(1, 20) << 3 | source.choice((0, 2, 2, 1, 5)))
                + varint(source.randrange(0, 20))
                + source.randbytes(source.randrange(20))
                for _ in range(source.randrange(1, 6))
            )

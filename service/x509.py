"""Fields of a certificate that the standard library's ssl does not expose: dates, kind of key.

Only for certificates that OpenSSL has parsed: those have the structure that is expected here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17

_RSA: Final = bytes.fromhex("2a864886f70d010101")
_EC: Final = bytes.fromhex("2a8648ce3d0201")
_CURVES: Final = (
    bytes.fromhex("2a8648ce3d030107"),  # P-256
    bytes.fromhex("2b81040022"),  # P-384
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The part of a certificate that matters to a server.

    Attributes:
        begins: When it becomes valid.
        expires: When it ceases to be.
        has_usable_key: Whether gRPC's TLS can sign with keys of its kind.
    """

    begins: datetime
    expires: datetime
    has_usable_key: bool


def parse(der: bytes) -> Certificate:
    """Parse a certificate (RFC 5280) that OpenSSL has accepted.

    Raises:
        ValueError: It has another structure.
    """
    try:
        ((_, certificate),) = _elements(der)
        (_, body), *_ = _elements(certificate)
        fields = [content for tag, content in _elements(body) if tag != _VERSION]
        _, _, _, validity, _, public_key, *_ = fields  # after serial, algorithm and issuer
        begins, expires = (_time(tag, content) for tag, content in _elements(validity))
        (_, algorithm), *_ = _elements(public_key)
        kind, *parameters = [content for _, content in _elements(algorithm)]
    except IndexError as error:
        raise ValueError("not a certificate") from error
    usable = kind == _RSA or (kind == _EC and parameters[0] in _CURVES)
    return Certificate(begins, expires, usable)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of consecutive elements."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year, from 1950 to 2049
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)

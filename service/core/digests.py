"""Keyed digests: of content, of state (etags), and of requests.

All are keyed with the server's secret, so that a digest left behind in a page's
slack cannot be guessed back into its text.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from hashlib import blake2b


class Digester:
    """Digests under one secret (BLAKE2b keyed mode, RFC 7693)."""

    def __init__(self, secret: bytes) -> None:
        self._key = secret[:64]

    def _digest(self, person: bytes, data: bytes, size: int) -> bytes:
        return blake2b(data, digest_size=size, key=self._key, person=person).digest()

    def content(self, text: str) -> bytes:
        """16 bytes that stand for a text."""
        return self.content_of_bytes(text.encode())

    def content_of_bytes(self, data: bytes) -> bytes:
        """The same for a text in UTF-8."""
        return self._digest(b"content", data, 16)

    def checksum(self, *values: str | bytes | int | None) -> bytes:
        """8 bytes by which a later change of any of the values, in order, is detected.

        Against damage, not against forgery: only rows with the same number of values are
        compared, so the values need no framing, which would cost more than the digest.
        """
        return self._digest(b"checksum", "\0".join(map(str, values)).encode(), 8)

    def request(self, method: str, message: bytes) -> bytes:
        """16 bytes that stand for a request message."""
        return self._digest(b"request", method.encode() + b"\0" + message, 16)

    def for_tenant(self, tenant: int) -> TenantDigester:
        """The same digests, and the tenant's etags."""
        return TenantDigester(self._key, tenant)

    def tag(self, tenant: int, tag: str) -> str:
        """23 characters that stand for a container's tag; no tag begins with `~`."""
        digest = self._digest(b"tag", b"%d:%b" % (tenant, tag.encode()), 16)
        return "~" + base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def derived(self, purpose: bytes) -> bytes:
        """A secret of 32 bytes for one purpose (at most 16 bytes)."""
        return self._digest(purpose, b"", 32)

    def sign(self, data: bytes) -> bytes:
        """A 16-byte signature."""
        return self._digest(b"token", data, 16)

    def verify(self, data: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(data), signature)


class TenantDigester(Digester):
    """Digests for one tenant. Equal objects of two tenants have different etags.

    With equal ones, a caller could guess what another tenant has written.
    """

    def __init__(self, secret: bytes, tenant: int) -> None:
        super().__init__(secret)
        self._salt = tenant.to_bytes(8, "big", signed=True)

    def etag(self, *parts: str | bytes | int | None) -> str:
        """16 URL-safe characters that stand for the parts, in order."""
        digest = blake2b(
            _framed(parts), digest_size=12, key=self._key, salt=self._salt, person=b"etag"
        )
        return base64.urlsafe_b64encode(digest.digest()).decode()


def _framed(parts: Iterable[str | bytes | int | None]) -> bytes:
    """The parts, each with its length, so that no two sequences are framed equally."""
    framed = bytearray()
    for part in parts:
        if part is None:
            framed += b"-"
            continue
        data = part if isinstance(part, bytes) else str(part).encode()
        framed += b"%d:%b" % (len(data), data)
    return bytes(framed)

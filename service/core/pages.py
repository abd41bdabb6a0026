"""Page tokens: signed positions, bound to the request that made them."""

from __future__ import annotations

import base64
import binascii
import json

from service.core.digests import Digester
from service.core.errors import PalimpsestError, Reason
from service.core.model import Position

_SIGNATURE = 16


def encode_token(digester: Digester, fingerprint: bytes, position: Position, revision: int) -> str:
    """A token for the page after `position` of the listing `fingerprint` names.

    It carries ids, tags and revisions, never content, and any replica that
    shares the secret can read it.
    """
    payload = json.dumps([revision, *position], separators=(",", ":")).encode()
    signature = digester.sign(fingerprint + payload)
    return base64.urlsafe_b64encode(signature + payload).decode().rstrip("=")


def decode_token(digester: Digester, fingerprint: bytes, token: str) -> tuple[Position, int]:
    """The position and first-page revision of a token.

    Raises INVALID_PAGE_TOKEN when it was made for another tenant or request, or
    not by this service.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    signature, payload = raw[:_SIGNATURE], raw[_SIGNATURE:]
    if not payload or not digester.verify(fingerprint + payload, signature):
        raise PalimpsestError(
            Reason.INVALID_PAGE_TOKEN,
            "page_token does not belong to this request; start again without it",
        )
    revision, *position = json.loads(payload)
    return tuple(position), revision

"""Page tokens: signed positions, bound to the request that made them."""

from __future__ import annotations

import base64
import binascii
import json
from typing import NamedTuple

from service.core.digests import Digester
from service.core.errors import PalimpsestError, Reason
from service.core.model import Position

_SIGNATURE = 16
_FORMAT = b"2"
"""Signed with every token, so that one of an older format is refused."""


class Listed(NamedTuple):
    """How far a listing has come.

    Args:
        after: The position of the last item listed.
        revision: The tenant's before the first page was read.
        began: The time of the tenant's last write before the first page.
    """

    after: Position
    revision: int
    began: int | None


def encode_token(digester: Digester, fingerprint: bytes, listed: Listed) -> str:
    """A token for the next page of the listing that `fingerprint` names.

    It carries ids, tags, revisions and times, never content, and any replica that
    shares the secret can read it.
    """
    values = [listed.revision, listed.began, *listed.after]
    payload = json.dumps(values, separators=(",", ":")).encode()
    signature = digester.sign(_FORMAT + fingerprint + payload)
    return base64.urlsafe_b64encode(signature + payload).decode().rstrip("=")


def decode_token(digester: Digester, fingerprint: bytes, token: str) -> Listed:
    """The position in a token.

    Raises INVALID_PAGE_TOKEN when it was made for another tenant or request, or
    not by this service.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    signature, payload = raw[:_SIGNATURE], raw[_SIGNATURE:]
    if not payload or not digester.verify(_FORMAT + fingerprint + payload, signature):
        raise PalimpsestError(
            Reason.INVALID_PAGE_TOKEN,
            "page_token does not belong to this request; start again without it",
        )
    revision, began, *position = json.loads(payload)
    return Listed(tuple(position), revision, began)

"""The rules of webhooks: addresses, signatures, and when to try again.

Signatures are those of Standard Webhooks: https://www.standardwebhooks.com.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from service.core.ids import base62
from service.core.model.changes import Change
from service.core.times import rfc3339

MAX_URL: Final = 2_000
"""Characters of a URL."""

SECRET_BYTES: Final = 32
"""Of a new secret; Standard Webhooks allows 24 to 64."""

FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 6 * 3600.0
"""Seconds between two attempts, which double from the one to the other."""

MAX_FAILURES: Final = 24
"""Attempts at one change after which the webhook is parked: about three days."""

TEST_TYPE: Final = "webhook.test"

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def new_id() -> str:
    return f"whk_{base62(secrets.randbits(71), 12)}"


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """A secret as receivers are given it."""
    return "whsec_" + base64.b64encode(secret).decode()


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`.

    Args:
        secret: The key.
        message_id: The header `webhook-id`.
        timestamp: The header `webhook-timestamp`, in seconds.
        body: As it is sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises ValueError, with the rule that is broken, for what nothing is sent to."""
    if len(url) > MAX_URL:
        raise ValueError(f"the URL must have {MAX_URL:,} characters at most")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("the URL must be ASCII without spaces; names of other letters in Punycode")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("the URL is malformed") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("the URL must be https://HOST[:PORT]/PATH")
    if "@" in parts.netloc:
        raise ValueError("the URL must have no user name or password in it")
    if parts.fragment:
        raise ValueError("the URL must have no fragment")
    if parts.scheme == "http" and not allow_private:
        raise ValueError("the URL must be https; http is for receivers with --allow-private")


def shown_url(url: str) -> str:
    """A URL without its query, which may be a secret of the receiver."""
    parts = urlsplit(url)
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return bare + "?..." if parts.query else bare


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    Those of private, local and special use are not (IANA's registries for RFC 6890), nor IPv4
    addresses inside of IPv6 ones: those of NAT64 (RFC 6052) and 6to4 are judged by what is inside.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)))
        if ip.ipv4_mapped is not None or ip.is_site_local:
            return False
        if ip.sixtofour is not None and not is_public(str(ip.sixtofour)):
            return False
    return ip.is_global and not (
        ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local
    )


def pause(failures: int, jitter: float, retry_after: float | None = None) -> float:
    """Seconds until the next attempt.

    Args:
        failures: How many attempts have failed, at least 1.
        jitter: Random, from 0 to 1: the pause is 20 % shorter to 20 % longer.
        retry_after: What the receiver asks for, honoured up to LONGEST_PAUSE.
    """
    usual = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 32), LONGEST_PAUSE)
    return max(usual * (0.8 + 0.4 * jitter), min(retry_after or 0.0, LONGEST_PAUSE))


def message_id(webhook: str, change: Change) -> str:
    """The same each time the change is sent, so that a receiver can tell a repetition."""
    return f"{webhook}_{change.revision}"


def change_body(change: Change) -> bytes:
    """The event of a change; `data` is the contract's Change in ProtoJSON."""
    time = rfc3339(change.time)
    data = {
        "revision": str(change.revision),
        "kind": f"CHANGE_KIND_{change.kind.name}",
        "id": change.id,
        "containerTags": list(change.containers),
        "time": time,
        "keyId": change.key_id,
        "keyLabel": change.key_label,
        "requestId": change.request_id,
        "actor": change.actor,
    }
    return _json({"type": change.kind.value, "timestamp": time, "data": data})


def trial_body(now: int) -> bytes:
    """An event that is about no change."""
    return _json({"type": TEST_TYPE, "timestamp": rfc3339(now), "data": {}})


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

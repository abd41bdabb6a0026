"""Addresses of servers, as users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST: Final = re.compile(r"\[[0-9a-f:.%a-z]+\]|[^\s:/@?#\[\]]+", re.IGNORECASE)
_LAST_PORT: Final = 65_535


class AddressError(ValueError):
    """Not the address of a server; the text says why and what to give instead."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    Attributes:
        text: "host:port", "[ipv6]:port" or "unix:path": what gRPC takes.
        host: Without brackets; empty for a path.
        port: 0 for a path.
        path: Of a Unix socket; None: the server is at a host.
    """

    text: str
    host: str = ""
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        return self.text


def parse_address(text: str) -> Address:
    """Reads "host:port", "[ipv6]:port" or "unix:path"; raises AddressError."""
    if text.startswith("unix:"):
        return _at_path(text)
    scheme = _SCHEME.match(text)
    if scheme is not None:
        hint = " and TLS is asked for with --tls-ca" if scheme[1].lower() == "https" else ""
        raise AddressError(f"leave out `{scheme[0]}`: an address is `host:port` alone{hint}")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        raise AddressError("the port is missing; give `host:port`, such as `localhost:50051`")
    if ":" in host and not host.startswith("["):
        raise AddressError("an IPv6 address needs brackets; give `[address]:port`")
    if not _HOST.fullmatch(host):
        raise AddressError("the host is missing or malformed; give `host:port` or `unix:path`")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= _LAST_PORT):
        raise AddressError(f"the port must be a number from 1 to {_LAST_PORT}")
    host = host.removeprefix("[").removesuffix("]")
    try:
        host.encode("idna")
    except UnicodeError:
        raise AddressError("the host is malformed: a part of it is empty or too long") from None
    return Address(text, host, int(port))


def _at_path(text: str) -> Address:
    path = text.removeprefix("unix:")
    if path.startswith("//"):  # as in a URI, where a host could follow
        path = path.removeprefix("//")
        if not path.startswith("/"):
            raise AddressError("after `unix://` the path is absolute; give `unix:path`")
    if not path or "\0" in path:
        raise AddressError("the path is missing or malformed; give `unix:path`")
    return Address(text, path=path)

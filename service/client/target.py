"""The server that a command calls, and the credentials for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.client.address import Address
from service.tls_files import Authorities, KeyPair


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS of a client: the authorities it trusts, and its certificate, if any.

    The paths are those of the files that were read, for messages.
    """

    authorities: Authorities
    authorities_file: Path
    pair: KeyPair | None = None
    certificate_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and the credentials for it.

    Attributes:
        address: Where it listens.
        key: None for a call that needs none.
        tls: None: plaintext.
    """

    address: Address
    key: str | None = None
    tls: ClientTls | None = None

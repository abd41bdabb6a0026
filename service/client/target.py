"""What a command speaks to, and how it is let in there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.client.address import Address
from service.tls_files import Authorities, KeyPair


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS of a client: whom it trusts, and the certificate it shows, if any.

    The files are where these were read, for messages.
    """

    authorities: Authorities
    authorities_file: Path
    pair: KeyPair | None = None
    certificate_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server is, and how to be let in.

    Attributes:
        address: Where.
        key: None for a call that needs none.
        tls: None: plaintext.
    """

    address: Address
    key: str | None = None
    tls: ClientTls | None = None

"""TLS certificates and keys in PEM files: read, and verified before they are used."""

from __future__ import annotations

import os
import re
import ssl
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from service.x509 import Certificate, parse

MAX_BYTES: Final = 4 * 1024 * 1024
"""Of one file. The authorities of a whole operating system take a quarter of a megabyte."""

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_CERTIFICATE: Final = re.compile(_BEGIN + rb".+?-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")

# The last: a key of another kind than the certificate's.
_MISMATCHES: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class TlsFileError(Exception):
    """A TLS file cannot be used; the text names the file and the reason."""


class _EncryptedKeyError(Exception):
    """OpenSSL asked for a passphrase."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its private key, both PEM.

    Attributes:
        warnings: What is doubtful about them, such as a certificate that has expired.
        expires: When the first certificate of the chain does.
    """

    certificate: bytes
    private_key: bytes
    warnings: tuple[str, ...]
    expires: datetime

    def load_into(self, context: ssl.SSLContext) -> None:
        """Use them for the connections of a context."""
        with _as_file(self.certificate) as chain, _as_file(self.private_key) as key:
            context.load_cert_chain(chain, key)


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certificates of authorities, PEM, and what is doubtful about them."""

    pem: bytes
    warnings: tuple[str, ...]


def read_key_pair(certificate: Path, private_key: Path, *, again: bool = False) -> KeyPair:
    """A certificate chain and the private key of its first certificate.

    Args:
        certificate: PEM file of the chain.
        private_key: PEM file of the key; may be the same file.
        again: Whether the files were read before: a file that can be read only once,
            such as a pipe, is then refused instead of blocking.

    Raises:
        TlsFileError: A file is missing, cannot be read, or is not PEM, the key is
            encrypted or not the certificate's, or gRPC cannot use keys of its kind.
    """
    chain_pem = _read(certificate, "certificate", again)
    key_pem = chain_pem if private_key == certificate else _read(private_key, "private key", again)
    chain = _certificates(chain_pem, certificate, "certificate")
    _match(chain_pem, key_pem, certificate, private_key)
    if not chain[0].has_usable_key:
        raise TlsFileError(
            f"certificate {certificate}: gRPC cannot use a key of its kind; "
            "make one with RSA, or with ECDSA on the curve P-256 or P-384"
        )
    return KeyPair(chain_pem, key_pem, _dated(chain, certificate, "certificate"), chain[0].expires)


def read_authorities(path: Path, role: str, *, again: bool = False) -> Authorities:
    """The certificates that others are verified with.

    Args:
        path: PEM file.
        role: What it is used for, for messages.
        again: As in `read_key_pair`.

    Raises:
        TlsFileError: The file is missing, cannot be read, or is not PEM.
    """
    pem = _read(path, role, again)
    return Authorities(pem, _dated(_certificates(pem, path, role), path, role))


def read_client_ca(path: Path, *, again: bool = False) -> Authorities:
    """The authorities that clients of a server must have a certificate of.

    Raises:
        TlsFileError: As `read_authorities`, and if none is the certificate of an authority.
    """
    authorities = read_authorities(path, "client CA", again=again)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=_text(authorities.pem))
    counts = context.cert_store_stats()
    others = counts["x509"] - counts["x509_ca"]
    if not counts["x509_ca"]:
        raise TlsFileError(
            f"client CA {path}: not the certificate of an authority (CA:TRUE is missing); "
            "name the one that signed the clients' certificates"
        )
    if not others:
        return authorities
    doubt = f"client CA {path}: {others} of its certificates are not those of an authority"
    return Authorities(authorities.pem, (*authorities.warnings, doubt))


def _read(path: Path, role: str, again: bool) -> bytes:
    try:
        if again and not stat.S_ISREG(path.stat().st_mode):
            raise TlsFileError(f"{role} {path}: not a regular file; it is read at the start only")
        with path.open("rb") as file:
            pem = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TlsFileError(f"{role} {path}: {error.strerror or error}") from error
    if len(pem) > MAX_BYTES:
        raise TlsFileError(f"{role} {path}: larger than {MAX_BYTES // 1024 // 1024} MiB")
    return pem


def _certificates(pem: bytes, path: Path, role: str) -> list[Certificate]:
    blocks = _CERTIFICATE.findall(pem)
    if pem.count(_BEGIN) != len(blocks):
        raise TlsFileError(f"{role} {path}: cut off within a certificate")
    if not blocks:
        mixed_up = _PRIVATE_KEY.search(pem)
        hint = "; a private key is in it: were the two files mixed up?" if mixed_up else ""
        raise TlsFileError(f"{role} {path}: not PEM, no certificate is in it{hint}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for block in blocks:
            context.load_verify_locations(cadata=_text(block))
        return [parse(ssl.PEM_cert_to_DER_cert(_text(block))) for block in blocks]
    except (ssl.SSLError, ValueError) as error:
        raise TlsFileError(f"{role} {path}: a certificate in it is damaged") from error


def _match(chain: bytes, key: bytes, certificate: Path, private_key: Path) -> None:
    """Raises TlsFileError unless it is a key, and that of the first certificate."""
    if not _PRIVATE_KEY.search(key):
        mixed_up = _CERTIFICATE.search(key)
        hint = "; a certificate is in it: were the two files mixed up?" if mixed_up else ""
        raise TlsFileError(f"private key {private_key}: not PEM, no private key is in it{hint}")

    def passphrase() -> str:
        raise _EncryptedKeyError

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # The strength of keys is the operator's decision; this checks that they work.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with _as_file(chain) as chain_file, _as_file(key) as key_file:
        try:
            context.load_cert_chain(chain_file, key_file, passphrase)
        except _EncryptedKeyError:
            raise TlsFileError(
                f"private key {private_key}: encrypted; decrypt it, "
                "and let nobody but the owner of this process read it"
            ) from None
        except ssl.SSLError as error:
            if error.reason in _MISMATCHES:
                raise TlsFileError(
                    f"private key {private_key}: not the key of the first certificate "
                    f"in {certificate}; name the two that belong together"
                ) from error
            # The certificates were parsed before.
            raise TlsFileError(f"private key {private_key}: damaged or cut off") from error


def _dated(chain: Sequence[Certificate], path: Path, role: str) -> tuple[str, ...]:
    now = datetime.now(UTC)
    form = "%Y-%m-%d %H:%M UTC"
    doubts = []
    for certificate in chain:
        if certificate.expires < now:
            doubts.append(f"{role} {path}: expired on {certificate.expires:{form}}")
        elif certificate.begins > now:
            doubts.append(f"{role} {path}: not valid before {certificate.begins:{form}}")
    if len(doubts) > 1:
        return (f"{doubts[0]}, and {len(doubts) - 1} more of its certificates are not valid now",)
    return tuple(doubts)


@contextmanager
def _as_file(pem: bytes) -> Iterator[str]:
    """A temporary path for OpenSSL, which does not accept bytes.

    The original file may change between the read here and OpenSSL's.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("pem"), "wb", buffering=0) as file:
            file.write(pem)
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as named:
            named.write(pem)
            named.flush()
            yield named.name


def _text(pem: bytes) -> str:
    return pem.decode("ascii", errors="replace")

"""TLS of the server: its files are read again while it runs."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import grpc
import structlog

from service.tls_files import Authorities, KeyPair, TlsFileError, read_client_ca, read_key_pair

_log = structlog.get_logger("palimpsest.tls")

POLL_SECONDS: Final = 5.0
"""How often the files are checked. A check reads no file that is unchanged."""

_Signature: TypeAlias = tuple[tuple[int, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With `client_ca`, clients must show a certificate that it signed."""

    certificate: Path
    private_key: Path
    client_ca: Path | None = None

    def read(self, *, again: bool = False) -> _Contents:
        """Raises TlsFileError for files that cannot be used."""
        return _Contents(
            read_key_pair(self.certificate, self.private_key, again=again),
            None if self.client_ca is None else read_client_ca(self.client_ca, again=again),
        )

    def signature(self) -> _Signature:
        """Another one when the files are: of what links lead to, not of the links."""
        paths = (self.certificate, self.private_key, self.client_ca)
        return tuple(_stamp(path) for path in paths if path is not None)


@dataclass(frozen=True, slots=True)
class _Contents:
    pair: KeyPair
    client_ca: Authorities | None

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.pair.warnings + (() if self.client_ca is None else self.client_ca.warnings)

    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        self.pair.load_into(made)
        if self.client_ca is not None:
            made.load_verify_locations(cadata=self.client_ca.pem.decode("ascii", "replace"))
            made.verify_mode = ssl.CERT_REQUIRED
        return made

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self.pair.private_key, self.pair.certificate)],
            None if self.client_ca is None else self.client_ca.pem,
        )


class ServerTls:
    """The TLS files of a server, as they were last found usable.

    Connections keep the TLS they were set up with; each new one gets the last. The
    files are read together: a pair that does not match, or that is being written, is
    logged, and what was read before stays in use.

    Args:
        files: Read at once.
        poll_seconds: How often `watch` looks whether they have changed.

    Raises:
        TlsFileError: A file cannot be used.
    """

    def __init__(self, files: TlsFiles, poll_seconds: float = POLL_SECONDS) -> None:
        self._files = files
        self._poll_seconds = poll_seconds
        self._signature = files.signature()
        self._contents = files.read()
        self._renewed: grpc.ServerCertificateConfiguration | None = None
        self._context = self._contents.context()
        self._requested = asyncio.Event()
        self._warn()

    def credentials(self) -> grpc.ServerCredentials:
        """For the server's address."""
        return grpc.dynamic_ssl_server_credentials(
            self._contents.configuration(),
            self._fetch,  # type: ignore[arg-type]  # gRPC takes None as well
            require_client_authentication=self._contents.client_ca is not None,
        )

    def context(self) -> ssl.SSLContext:
        """For servers other than gRPC's. Each connection takes the files as they are then."""
        context = self._contents.context()

        def choose(connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
            connection.context = self._context

        context.sni_callback = choose
        return context

    def request_reload(self) -> None:
        """`watch` reads the files again at once, whether they have changed or not."""
        self._requested.set()

    async def watch(self) -> None:
        """Reads the files again when they have changed, until it is cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._requested.wait()
            requested = self._requested.is_set()
            self._requested.clear()
            try:
                # Files may lie on a network.
                await asyncio.to_thread(self._refresh, requested)
            except Exception:  # noqa: BLE001  (the next change must still be found)
                _log.exception("TLS files could not be read again")

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """What gRPC asks at each handshake, in a thread of its own. None: nothing new."""
        renewed, self._renewed = self._renewed, None
        return renewed

    def _refresh(self, requested: bool) -> None:
        # Taken first: a change during the read is found by the next look.
        signature = self._files.signature()
        if signature == self._signature and not requested:
            return
        self._signature = signature
        try:
            contents = self._files.read(again=True)
        except TlsFileError as error:
            _log.error(
                "TLS files cannot be used, those read before stay in use",
                reason=str(error),
                expires=self._expires(),
            )
            return
        changed = contents != self._contents
        self._contents = contents
        if changed:
            self._renewed = contents.configuration()
            self._context = contents.context()
        _log.info("TLS files read again", changed=changed, expires=self._expires())
        self._warn()

    def _expires(self) -> str:
        return self._contents.pair.expires.isoformat()

    def _warn(self) -> None:
        for warning in self._contents.warnings:
            _log.warning("TLS file is doubtful", reason=warning)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

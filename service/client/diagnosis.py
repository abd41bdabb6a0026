"""Why a server could not be reached.

gRPC's own messages are written for its maintainers, and change. So this connects to the address
once more, without gRPC, and examines what answers there.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from service.client.target import ClientTls, Target

SOCKET_NAME: Final = "localhost"
"""What the certificate of a server at a Unix socket must be for."""

# The connection preface of an HTTP/2 client, with its SETTINGS frame; a server answers with one.
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
_FRAME_HEADER: Final = 9
_SETTINGS: Final = 4

# Error codes of X509_verify_cert, as `ssl` passes them on.
_DATES: Final = {9: "is not valid yet", 10: "has expired"}
_OTHER_NAME: Final = (62, 64)

_SHORTEST_SECONDS: Final = 0.1


def diagnose(target: Target, details: str, seconds: float) -> str:
    """What is wrong, and what to do about it.

    Args:
        target: What gRPC could not reach.
        details: What gRPC reported; quoted if no other reason is found.
        seconds: Time limit.
    """
    return _Diagnosis(target, details, seconds).text()


class _Diagnosis:
    def __init__(self, target: Target, details: str, seconds: float) -> None:
        self._address = target.address
        self._tls = target.tls
        self._details = details
        self._deadline = time.monotonic() + seconds

    def text(self) -> str:
        try:
            with self._connected():
                pass
        except socket.gaierror as error:
            return (
                f"the host {self._address.host} is not known ({error.strerror}); "
                "look for a mistake in --address"
            )
        except PermissionError as error:
            return (
                f"{self._address} may not be connected to ({error.strerror}); "
                "take a user who may, or look at --address"
            )
        except OSError as error:
            return (
                f"no server is serving at {self._address} ({error.strerror or error}); start it "
                "with `palimpsest serve`, or name its address with --address"
            )
        try:
            tls = self._tls
            return self._diagnose_plaintext() if tls is None else self._diagnose_tls(tls)
        except TimeoutError:
            return f"the server at {self._address} does not answer; try again, or look at --address"
        except OSError:
            return self._lost()  # it stopped meanwhile

    def _diagnose_plaintext(self) -> str:
        if self._speaks_plaintext():
            return self._lost()
        if self._speaks_tls():
            return (
                f"the server at {self._address} speaks TLS only; name the file of the authority "
                "that signed its certificate with --tls-ca"
            )
        return self._not_grpc()

    def _diagnose_tls(self, tls: ClientTls) -> str:
        try:
            with self._connected() as plain, self._encrypted(plain, _context(tls)) as encrypted:
                if _speaks_http2(encrypted):
                    return self._lost()
                return self._diagnose_client_certificate(tls)
        except ssl.SSLCertVerificationError as error:
            return self._diagnose_certificate(error, tls)
        except TimeoutError:
            raise
        except OSError as error:
            if self._speaks_plaintext():
                return (
                    f"the server at {self._address} does not speak TLS; "
                    "leave out --tls-ca, or have it serve with --tls-cert and --tls-key"
                )
            if not self._speaks_tls():
                return self._not_grpc()
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            return f"TLS with the server at {self._address} failed ({reason}); {self._details}"

    def _diagnose_certificate(self, error: ssl.SSLCertVerificationError, tls: ClientTls) -> str:
        subject = f"the certificate of the server at {self._address}"
        if error.verify_code in _DATES:
            return (
                f"{subject} {_DATES[error.verify_code]}; renew it there "
                "(a running server takes in the new files by itself)"
            )
        if error.verify_code in _OTHER_NAME:
            return (
                f"{subject} is for {self._names(tls)}; give one of its names in --address, "
                f"or the server a certificate for {self._name}"
            )
        return (
            f"{subject} is not signed by an authority in {tls.authorities_file} "
            f"({error.verify_message}); name the file of the right one with --tls-ca"
        )

    def _diagnose_client_certificate(self, tls: ClientTls) -> str:
        """The server closed the connection after it received a certificate, or none."""
        if tls.pair is None:
            return (
                f"the server at {self._address} asks for a client certificate; "
                "name its files with --tls-cert and --tls-key"
            )
        doubts = "".join(f"; {warning}" for warning in tls.pair.warnings)
        return (
            f"the server at {self._address} does not accept the client certificate "
            f"{tls.certificate_file}{doubts}; give one that is valid and signed by an "
            "authority in the server's --tls-client-ca"
        )

    def _lost(self) -> str:
        return (
            f"the connection to the server at {self._address} was lost ({self._details}); try again"
        )

    def _not_grpc(self) -> str:
        return f"what answers at {self._address} is not a gRPC server; look at --address"

    def _names(self, tls: ClientTls) -> str:
        context = _context(tls)
        context.check_hostname = False
        with self._connected() as plain, self._encrypted(plain, context) as encrypted:
            found = encrypted.getpeercert() or {}
        names = [str(pair[1]) for pair in found.get("subjectAltName", ())]
        return ", ".join(names) or "no name at all"

    def _speaks_plaintext(self) -> bool:
        with self._connected() as plain:
            return _speaks_http2(plain)

    def _speaks_tls(self) -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with self._connected() as plain:
            try:
                self._encrypted(plain, context).close()
            except TimeoutError:
                raise
            except OSError:
                return False
        return True

    @property
    def _name(self) -> str:
        """What the server's certificate must be for."""
        return self._address.host or SOCKET_NAME

    @contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        seconds = max(self._deadline - time.monotonic(), _SHORTEST_SECONDS)
        if self._address.path is None:
            plain = socket.create_connection((self._address.host, self._address.port), seconds)
        else:
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(seconds)
        with plain:
            if self._address.path is not None:
                plain.connect(self._address.path)
            yield plain

    def _encrypted(self, plain: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        return context.wrap_socket(plain, server_hostname=self._name)


def _context(tls: ClientTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=tls.authorities.pem.decode("ascii", "replace"))
    if tls.pair is not None:
        tls.pair.load_into(context)
    return context


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether the peer answers as an HTTP/2 server does."""
    answer = b""
    try:
        connection.sendall(_PREFACE)
        while len(answer) < _FRAME_HEADER:
            received = connection.recv(_FRAME_HEADER - len(answer))
            if not received:
                return False
            answer += received
    except TimeoutError:
        raise  # no answer in time is not the same as a closed connection
    except OSError:
        return False
    return answer[3] == _SETTINGS

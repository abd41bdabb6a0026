"""Channels to a server, and readable messages for failed calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import grpc

from service.client.diagnosis import SOCKET_NAME, diagnose
from service.client.printable import printable
from service.client.target import ClientTls, Target

PROBE_SECONDS: Final = 10.0
"""Time limit for finding out why a server could not be reached."""

STATUS_DETAILS: Final = "grpc-status-details-bin"
"""The trailing metadata with the details of a status."""


class ServerError(Exception):
    """A call failed; the text says why and what to do, and is safe to print."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


def open_channel(target: Target, options: Sequence[tuple[str, str | int]] = ()) -> grpc.Channel:
    """A channel to the server; connected by its first call."""
    if target.tls is None:
        return grpc.insecure_channel(target.address.text, options=options)
    return grpc.secure_channel(
        target.address.text, _credentials(target.tls), options=_secured(target, options)
    )


def open_async_channel(
    target: Target, options: Sequence[tuple[str, str | int]] = ()
) -> grpc.aio.Channel:
    """As `open_channel`, for the running event loop."""
    if target.tls is None:
        return grpc.aio.insecure_channel(target.address.text, options=options)
    return grpc.aio.secure_channel(
        target.address.text, _credentials(target.tls), options=_secured(target, options)
    )


def _secured(
    target: Target, options: Sequence[tuple[str, str | int]]
) -> Sequence[tuple[str, str | int]]:
    if target.address.path is None:
        return options
    # Otherwise gRPC requires the server's certificate to be for the path.
    return (*options, ("grpc.ssl_target_name_override", SOCKET_NAME))


def _credentials(tls: ClientTls) -> grpc.ChannelCredentials:
    if tls.pair is None:
        return grpc.ssl_channel_credentials(tls.authorities.pem)
    return grpc.ssl_channel_credentials(
        tls.authorities.pem, tls.pair.private_key, tls.pair.certificate
    )


def explained(error: grpc.RpcError, target: Target, seconds: float = PROBE_SECONDS) -> ServerError:
    """The error to report for a failed call.

    Args:
        error: Raised by a call of a stub.
        target: What was called.
        seconds: Time limit for finding out the reason if the server was not reached.
    """
    call = cast("grpc.Call", error)  # those that stubs raise are calls as well
    details = (call.details() or "").rstrip(".")
    code = call.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        if any(name == STATUS_DETAILS for name, _ in call.trailing_metadata() or ()):
            return ServerError(f"{details}; try again")  # the server's own words
        return ServerError(diagnose(target, details, seconds))
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return ServerError(
            f"{details}; name the file of a key with --key-file "
            "(`palimpsest keys create` makes keys)"
        )
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return ServerError(f"{details}; take a key that may do this, or another container")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServerError(f"the server at {target.address} took too long to answer; try again")
    return ServerError(f"{details} ({code.name})")

"""Channels to a server: with TLS, unless it is on this machine or the caller says otherwise."""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias

import grpc

from palimpsest.retries import SERVICE_CONFIG

Tls: TypeAlias = bool | bytes | grpc.ChannelCredentials
"""True: authorities that gRPC trusts. False: plaintext. Bytes: authorities in PEM."""

_MIB: Final = 1024 * 1024

OPTIONS: Final[list[tuple[str, str | int]]] = [
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.enable_retries", 1),
    # The largest request, as larger ones than this are not made again.
    ("grpc.per_rpc_retry_buffer_size", 17 * _MIB),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 5000),  # how long one attempt may take
    # Finds out that a connection is dead on which only the server would speak.
    ("grpc.keepalive_time_ms", 60_000),
]


def credentials(address: str, tls: Tls | None) -> grpc.ChannelCredentials | None:
    """The credentials for an address; None: plaintext.

    Args:
        address: "HOST:PORT", "[::1]:PORT" or "unix:PATH".
        tls: None: plaintext on this machine, and TLS to any other.

    Raises:
        ValueError: The address is a URL.
    """
    if "://" in address and not address.startswith(("dns://", "unix://")):
        raise ValueError(f"address: {address!r} is a URL; it has to be HOST:PORT")
    if tls is None:
        tls = not _on_this_machine(address)
    if isinstance(tls, bytes):
        return grpc.ssl_channel_credentials(tls)
    if isinstance(tls, bool):
        return grpc.ssl_channel_credentials() if tls else None
    return tls


def _on_this_machine(address: str) -> bool:
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

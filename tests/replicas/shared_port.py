"""`palimpsest`, whose servers let others listen on their port, too."""

from __future__ import annotations

from service.cli import main
from service.rpc import server

_REUSE = "grpc.so_reuseport"


def share_port() -> None:
    """The kernel spreads connections over all servers of the port (SO_REUSEPORT)."""
    others = (option for option in server._OPTIONS if option[0] != _REUSE)
    server._OPTIONS = (*others, (_REUSE, 1))  # type: ignore[misc,assignment]


if __name__ == "__main__":
    share_port()
    main()

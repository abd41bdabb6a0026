"""Ending the connections of one server among the sockets of a process."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.rpc.connections import bound_address, close_all
from tests.waiting import HANG_SECONDS


@pytest.mark.parametrize(
    ("address", "port", "place"),
    [
        ("127.0.0.1:0", 4711, 4711),
        ("[::]:50051", 50051, 50051),
        ("unix:some/socket", 1, "some/socket"),
        ("unix:/tmp/socket", 1, "/tmp/socket"),
        ("unix:///tmp/socket", 1, "/tmp/socket"),
    ],
)
def test_a_place_is_what_the_system_calls_the_address(
    address: str, port: int, place: int | str
) -> None:
    assert bound_address(address, port) == place


@pytest.mark.processes
def test_locks_on_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "locked"
    attempt = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'r+') as file:\n"
        "    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
    )
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        close_all({1})
        other = subprocess.run(
            [sys.executable, "-c", attempt, path], capture_output=True, text=True, check=False
        )
    assert "BlockingIOError" in other.stderr


@pytest.mark.parametrize("kind", ["port", "path"])
def test_connections_there_end_after_what_was_sent_and_others_go_on(
    kind: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:

        def connected(name: str) -> tuple[socket.socket, socket.socket, socket.socket]:
            family = socket.AF_INET if kind == "port" else socket.AF_UNIX
            listener = stack.enter_context(socket.socket(family))
            listener.bind(("127.0.0.1", 0) if kind == "port" else str(tmp_path / name))
            listener.listen()
            near = stack.enter_context(socket.socket(family))
            near.settimeout(HANG_SECONDS)
            near.connect(listener.getsockname())
            far, _ = listener.accept()
            return listener, near, stack.enter_context(far)

        listener, near, far = connected("a")
        _, other_near, other_far = connected("b")
        far.sendall(b"last words")
        name = listener.getsockname()
        close_all({name if kind == "path" else name[1]})

        assert near.recv(100) == b"last words"
        assert near.recv(100) == b""
        with pytest.raises(BrokenPipeError):
            far.sendall(b"too late")
        with pytest.raises(ConnectionRefusedError), socket.socket(listener.family) as late:
            late.connect(name)
        other_far.sendall(b"unharmed")
        assert other_near.recv(100) == b"unharmed"

"""The real server in a process of its own, as an operator runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.backends.base import Backend
from tests.backends.selection import backend_of
from tests.ports import free_port
from tests.waiting import HANG_SECONDS

REPOSITORY = Path(__file__).resolve().parent.parent
RESERVE = 1024 * 1024
"""Bytes that each server keeps on the disk: there are many of them at once."""

_KEY = re.compile(r"\bpal_[0-9A-Za-z]+_[0-9A-Za-z]+\b")


@dataclass(frozen=True)
class Server:
    """A running server; `key` may do everything, `http` is its address for HTTP."""

    process: subprocess.Popen[bytes]
    address: str
    data_dir: Path
    log: Path
    key: str
    http: str = ""

    @property
    def backend(self) -> Backend:
        return backend_of(self.data_dir)

    def create_key(self, *options: str) -> str:
        """A further key, made by the command line while the server runs."""
        return create_key(self.data_dir, *options)

    def add_key(
        self, tenant: str, *, containers: Sequence[str] = (), read_only: bool = False
    ) -> str:
        """A further key of any tenant, made without the start of a process."""
        return self.backend.create_key(tenant, containers=containers, read_only=read_only)

    def stop(self) -> int:
        """SIGTERM, and the exit code of the drained server."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANG_SECONDS)

    def kill(self) -> None:
        """SIGKILL: what a power cut leaves is all that is left."""
        self.process.kill()
        self.process.wait(HANG_SECONDS)


def tenant_of(test: str) -> str:
    """The tenant of the test of this name."""
    return "".join(c if c.isalnum() else "-" for c in test)[-60:].strip("-")


def run_cli(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m service ARGUMENTS` on a data directory."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments, *backend_of(data_dir).options],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def create_key(data_dir: Path, *options: str) -> str:
    """A new key, as `keys create` prints it."""
    done = run_cli(data_dir, "keys", "create", *options)
    found = _KEY.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise AssertionError(f"keys create failed ({done.returncode}): {done.stderr}")
    return found.group()


@contextmanager
def running_server(data_dir: Path, *options: str) -> Iterator[Server]:
    """Starts the server, waits until it is SERVING, and stops it afterwards."""
    server = start_server(data_dir, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def start_server(data_dir: Path, *options: str, address: str = "") -> Server:
    """Starts the server and returns once health says SERVING; without an address, on any port."""
    http = f"127.0.0.1:{free_port()}"
    if "--http" in options:
        http = options[options.index("--http") + 1]
    else:
        options = ("--http", http, *options)
    database = backend_of(data_dir).options
    command = [sys.executable, "-m", "service", "serve", *database, *options]
    log = data_dir.with_suffix(".log")
    process, address = launch(command, log, address)
    return Server(process, address, data_dir, log, first_key(data_dir), http)


def launch(
    command: Sequence[str], log: Path, address: str = ""
) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a command that serves, on an address it is given last, until it is SERVING."""
    address = address or f"127.0.0.1:{free_port()}"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--listen", address],
            cwd=REPOSITORY,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_serving(process, address)
    except BaseException as error:
        process.kill()
        process.wait()
        error.add_note(log.read_text(errors="replace"))
        raise
    return process, address


def first_key(data_dir: Path) -> str:
    """The key that a fresh server made for itself; "" if another one of its database did."""
    file = data_dir / "first-key"
    return file.read_text().strip() if file.exists() else ""


def _wait_until_serving(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    with grpc.insecure_channel(address, options=_EAGER) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs have no methods
        while process.poll() is None and time.monotonic() < deadline:
            watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=1, wait_for_ready=True)
            try:
                for state in watch:
                    if state.status == health_pb2.HealthCheckResponse.SERVING:
                        watch.cancel()
                        return
            except grpc.RpcError:
                continue
    raise AssertionError(f"the server did not come up (exit code {process.poll()})")


_EAGER = [
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
]


def environment() -> dict[str, str]:
    """This process's environment, without settings meant for another server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PALIMPSEST_TEST_") or not name.startswith("PALIMPSEST_")
    }
    kept.pop("DATABASE_URL", None)
    path = [str(REPOSITORY), str(REPOSITORY / "generated"), os.environ.get("PYTHONPATH", "")]
    return kept | {
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "PALIMPSEST_DISK_RESERVE": str(RESERVE),
        # What is logged must not depend on how busy the machine is.
        "PALIMPSEST_SLOW_CALL_SECONDS": "86400",
        # The default port would be that of all servers at once.
        "PALIMPSEST_HTTP": "",
    }

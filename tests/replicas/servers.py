"""Several servers on one port and one database."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.backends.base import Backend
from tests.backends.selection import backend_of
from tests.harness import REPOSITORY, Server, environment, first_key
from tests.ports import free_port
from tests.waiting import wait_until


def start_replica(backend: Backend, address: str, *options: str, number: int = 0) -> Server:
    """Another server of a database at an address; SERVING when this returns."""
    http = f"127.0.0.1:{free_port()}"
    log = backend.folder.with_suffix(f".{number}.log")
    command = [sys.executable, "-m", "tests.replicas.shared_port", "serve", *backend.options]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--http", http, "--listen", address, *options],
            cwd=REPOSITORY,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return _answers(f"http://{http}/readyz")

    try:
        wait_until(ready)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Server(process, address, backend.folder, log, first_key(backend.folder), http)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


@contextmanager
def replicas(data_dir: Path, *options: str, count: int = 2) -> Iterator[Sequence[Server]]:
    """So many servers on one port; stopped when the block is left."""
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        servers = []
        for number in range(count):
            server = start_replica(backend_of(data_dir), address, *options, number=number)
            stack.callback(stop, server)
            servers.append(server)
        yield servers


def stop(server: Server) -> None:
    """Stop a server, unless it has ended."""
    if server.process.poll() is None:
        server.stop()

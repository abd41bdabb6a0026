"""`palimpsest` as it is installed, with the streams, the folder and the signals of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import HANG_SECONDS, wait_until

PALIMPSEST = str(Path(sys.executable).with_name("palimpsest"))
UV = str(Path(sys.executable).with_name("uv"))
LIMIT = 60.0


def clean_environment(**more: str) -> dict[str, str]:
    """Without settings of the service, and without a module path."""
    left_out = ("PALIMPSEST_", "PYTHONPATH", "NO_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return kept | more


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """A command, to its end."""
    command = [PALIMPSEST, *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, env=clean_environment(), timeout=LIMIT, check=False, **options)


def uv(*arguments: str | Path) -> None:
    """The package manager that is among the developers' tools."""
    subprocess.run(
        [UV, "--no-config", "--quiet", *arguments],
        env=clean_environment(UV_PYTHON_DOWNLOADS="never"),
        timeout=HANG_SECONDS,
        check=True,
    )


@contextmanager
def serving(
    data_dir: Path,
    *options: str,
    named: bool = True,
    command: Sequence[str] = (PALIMPSEST,),
    environment: dict[str, str] | None = None,
    **streams: Any,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server that listens on a socket beside its data, once it has a first key there; and
    its address. The folder is `named` to it, unless it is where it looks by itself."""
    address = f"unix:{data_dir.parent}/socket"
    folder = ["--data-dir", str(data_dir)] if named else []
    process = subprocess.Popen(
        [*command, "serve", *folder, "--listen", address, *options],
        # What is logged must not depend on how busy the machine is.
        env=environment or clean_environment(PALIMPSEST_SLOW_CALL_SECONDS="86400"),
        **streams,
    )
    try:
        wait_until(lambda: (data_dir / "first-key").exists() or process.poll() is not None)
        yield process, address
    finally:
        process.terminate()
        try:
            process.wait(LIMIT)
        finally:
            process.kill()


def events(log: Path) -> list[dict[str, Any]]:
    """The lines of a log, all of which are JSON objects."""
    return [json.loads(line) for line in log.read_text().splitlines()]

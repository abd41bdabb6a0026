"""Builds the wheel of the Python client: `client.py DIST`.

It has to be installed next to other libraries, so it takes releases of grpcio and protobuf that
are older than the server's. Run it with the older grpcio-tools of `client.lock` first on the path:
generated code works with the release of protobuf that it was made for, and up to the next major
one.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import descriptors
import services
from generate import PROTOS, SERVICES, WELL_KNOWN, contract, generate, run_protoc

_ROOT = PROTOS.parent
_LIBRARY = PROTOS / "python" / "palimpsest"

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "palimpsest-memory-client"
version = "{version}"
description = "Client of Palimpsest, a self-hosted memory service, with its messages and gRPC stubs"
license = "Apache-2.0"
license-files = ["LICENSE"]
requires-python = ">=3.11"
classifiers = ["Framework :: AsyncIO", "Programming Language :: Python :: 3", "Typing :: Typed"]
dependencies = [
    "googleapis-common-protos>=1.70,<2",
    "grpcio>=1.76,<2",
    "protobuf>=6.31.1,<8",
]

[tool.hatch.build.targets.wheel]
packages = ["palimpsest", "buf"]
"""


def build(dist: Path) -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    sources = [f"-I{PROTOS}", f"-I{WELL_KNOWN}"]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        generate(work, sources)
        services.write(descriptors.read(run_protoc, sources, contract()), work / SERVICES)
        for module in _LIBRARY.glob("*.py"):
            shutil.copy(module, work / "palimpsest")
        shutil.copy(_ROOT / "LICENSE", work)
        (work / "pyproject.toml").write_text(_PROJECT.format(version=project["version"]))
        subprocess.run(  # noqa: S603 - its arguments are our own
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist.resolve())],
            cwd=work,
            check=True,
        )


if __name__ == "__main__":
    build(Path(sys.argv[1]))

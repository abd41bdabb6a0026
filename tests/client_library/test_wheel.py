"""The wheel of the client: built, installed with the oldest and the newest libraries, and used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import REPOSITORY, Server
from tests.system.process import UV, clean_environment, uv
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes

CLIENT = "palimpsest-memory-client"

_OLDEST = {"grpcio": "1.76.0", "protobuf": "6.31.1"}

_PROGRAM = """
import asyncio, sys
from importlib.metadata import version
from pathlib import Path
import palimpsest

address, key, home = sys.argv[1:]
assert Path(palimpsest.__file__).is_relative_to(home)
assert "grpc" not in sys.modules  # imported by what needs it
with palimpsest.connect(address, key, timeout=60) as client:
    client.memories.create("user_7", {"content": "Ada drinks tea", "metadata": {"cups": 3}})
    memory = client.memories.search("tea", container_tags="user_7").hits[0].memory
    try:
        client.documents.get("nothing")
    except palimpsest.NotFoundError as error:
        print(memory.content, palimpsest.to_dict(memory.metadata), error.reason)

async def main():
    async with palimpsest.connect_async(address, key, timeout=60) as client:
        print(len([memory async for memory in client.memories.iterate()]))

asyncio.run(main())
print(version("grpcio"), version("protobuf"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make client` builds it."""
    out = tmp_path_factory.mktemp("wheel")
    lock = REPOSITORY / "protos" / "client.lock"
    uv("pip", "install", "--no-deps", "--require-hashes", "--target", out / "protoc", "-r", lock)
    subprocess.run(
        [sys.executable, REPOSITORY / "protos" / "client.py", out / "dist"],
        env=clean_environment(PYTHONPATH=str(out / "protoc")),
        check=True,
        timeout=HANG_SECONDS,
    )
    (built,) = (out / "dist").glob("*.whl")
    return built


@pytest.mark.parametrize("resolution", ["lowest", "highest"])
def test_it_calls_a_server_with_the_oldest_and_the_newest_libraries(
    wheel: Path, resolution: str, shared_server: Server, key: str, tmp_path: Path
) -> None:
    home = tmp_path / "environment"
    uv("venv", "--python", sys.executable, home)
    python = home / "bin" / "python"
    uv("pip", "install", "--python", python, "--resolution", resolution, wheel)

    told = subprocess.run(
        [python, "-W", "error", "-c", _PROGRAM, shared_server.address, key, home],
        env=clean_environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    *answers, versions = told.stdout.splitlines()
    assert answers == ["Ada drinks tea {'cups': 3} DOCUMENT_NOT_FOUND", "1"]
    oldest = versions == f"{_OLDEST['grpcio']} {_OLDEST['protobuf']}"
    assert oldest == (resolution == "lowest")


@pytest.mark.parametrize("other", ["mem0ai", "weaviate-client"])
def test_it_can_be_installed_next_to_other_clients(wheel: Path, other: str, tmp_path: Path) -> None:
    """The newest release of the other is taken, as it would be alone."""
    alone = _resolve([other], tmp_path)
    together = _resolve([other, f"{CLIENT} @ {wheel.as_uri()}"], tmp_path)

    assert together[other] == alone[other]
    assert CLIENT in together


def _resolve(wanted: list[str], folder: Path) -> dict[str, str]:
    """Package versions that fit together."""
    (folder / "wanted.in").write_text("\n".join(wanted))
    quiet = ["--quiet", "--no-header", "--no-annotate"]
    done = subprocess.run(
        [UV, "--no-config", "pip", "compile", *quiet, "--python", sys.executable, "wanted.in"],
        env=clean_environment(UV_PYTHON_DOWNLOADS="never"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
    )
    lines = [line.split(" @ ")[0].split("==") for line in done.stdout.splitlines()]
    return {name: "".join(version) for name, *version in lines}

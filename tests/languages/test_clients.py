"""Clients in Go, TypeScript and Python are generated, compiled, and call a server."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, NewMemory
from tests import node
from tests.client import connected
from tests.harness import REPOSITORY, Server
from tests.languages import generated
from tests.languages.generated import BUILD
from tests.languages.go_toolchain import GoToolchain

pytestmark = pytest.mark.processes

_TYPESCRIPT = Path(__file__).parent / "typescript"


def test_a_program_in_typescript_that_the_page_shows(shared_server: Server, key: str) -> None:
    project = BUILD / "typescript"
    shutil.copytree(_TYPESCRIPT, project, dirs_exist_ok=True)
    node.install(project)
    environment = {**os.environ, "PATH": f"{node.NODE.parent}:{os.environ['PATH']}"}
    compiler = project / "node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es"
    generated.generate(project, {"bufbuild/es": (node.NODE, compiler)}, environment)
    (project / "main.ts").write_text(generated.example("ts", shared_server.address))

    node.run(project, "node_modules/typescript/bin/tsc")

    told = generated.run([node.NODE, "built/main.js"], project, {**environment, "KEY": key})
    assert told == generated.promised_output("ts")


async def test_a_program_in_go_that_the_page_shows(
    shared_server: Server, key: str, tmp_path: Path
) -> None:
    go = GoToolchain()
    go.install()
    # In its workspace, Go looks for packages by their whole names.
    source = go.workspace / "src"
    prefix = "github.com/palimpsest-memory/palimpsest"
    assert {plugin["out"] for name, plugin in generated.plugins().items() if "go" in name} == {
        "gen/go"
    }
    generated.generate(
        source / prefix,
        {
            "protocolbuffers/go": [go.plugin("protoc-gen-go")],
            "grpc/go": [go.plugin("protoc-gen-go-grpc")],
        },
        go.environment,
    )
    go.build(generated.example("go", shared_server.address), tmp_path / "example")
    async with connected(shared_server.address, key) as client:
        await client.memories.CreateMemories(
            CreateMemoriesRequest(
                container_tag="user_7", memories=[NewMemory(content="Ada plays the cello.")]
            )
        )

    told = generated.run([tmp_path / "example"], tmp_path, {"KEY": key})

    assert told == generated.promised_output("go")


def test_a_program_in_python_with_stubs_of_its_own(
    shared_server: Server, key: str, tmp_path: Path
) -> None:
    protos = REPOSITORY / "protos"
    contract = sorted(protos.glob("palimpsest/v1/*.proto"))
    outs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    generated.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}", *outs, *contract],
        tmp_path,
        os.environ,
    )
    program = """
import sys, grpc
from palimpsest.v1 import containers_pb2, containers_pb2_grpc
channel = grpc.insecure_channel(sys.argv[1])
key = [("authorization", f"Bearer {sys.argv[2]}")]
answer = containers_pb2_grpc.ContainersStub(channel).ListContainers(
    containers_pb2.ListContainersRequest(), metadata=key, timeout=60
)
print(len(answer.containers), containers_pb2.__file__.startswith(sys.argv[3]))
"""
    told = generated.run(
        [sys.executable, "-c", program, shared_server.address, key, tmp_path],
        tmp_path,
        {**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert told == "0 True\n"

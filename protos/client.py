"""Builds a wheel of the stubs alone: `client.py DIST`.

Its users need grpcio and protobuf and nothing else, so the HTTP annotations are
left out, whose module is in neither.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from generate import PROTOS, VALIDATE, WELL_KNOWN, contract, generate, run_protoc
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_ROOT = PROTOS.parent
_LEFT_OUT = "google/api/"
_NEEDS = ("grpcio", "protobuf")
_DEPENDENCY = FileDescriptorProto.DESCRIPTOR.fields_by_name["dependency"].number

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "palimpsest-memory-client"
version = "{version}"
description = "Messages and gRPC stubs of Palimpsest, a self-hosted memory service"
license = "Apache-2.0"
license-files = ["LICENSE"]
requires-python = ">=3.11"
dependencies = {dependencies}

[tool.hatch.build.targets.wheel]
packages = ["palimpsest", "buf"]
"""


def strip(files: FileDescriptorSet) -> FileDescriptorSet:
    """The same without google.api's files, imports and options."""
    kept = FileDescriptorSet()
    for file in files.file:
        if file.name.startswith(_LEFT_OUT):
            continue
        copy = kept.file.add()
        copy.CopyFrom(file)
        copy.dependency[:] = [d for d in file.dependency if not d.startswith(_LEFT_OUT)]
        for index, location in reversed(list(enumerate(copy.source_code_info.location))):
            if location.path[:1] == [_DEPENDENCY]:
                del copy.source_code_info.location[index]
        for service in copy.service:
            for method in service.method:
                method.options.ClearExtension(annotations_pb2.http)
    return kept


def build(dist: Path) -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    dependencies = [
        d for d in project["dependencies"] if d.startswith(tuple(f"{n}>" for n in _NEEDS))
    ]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        image = work / "contract.binpb"
        run_protoc(
            [
                f"-I{PROTOS}",
                f"-I{WELL_KNOWN}",
                "--include_imports",
                "--include_source_info",
                f"--descriptor_set_out={image}",
                *contract(),
                VALIDATE,
            ]
        )
        image.write_bytes(
            strip(FileDescriptorSet.FromString(image.read_bytes())).SerializeToString()
        )
        generate(work, [f"--descriptor_set_in={image}"])
        shutil.copy(_ROOT / "LICENSE", work)
        text = _PROJECT.format(version=project["version"], dependencies=dependencies)
        (work / "pyproject.toml").write_text(text)
        subprocess.run(  # noqa: S603 - its arguments are our own
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist.resolve())],
            cwd=work,
            check=True,
        )


if __name__ == "__main__":
    build(Path(sys.argv[1]))

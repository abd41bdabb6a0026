"""Makes Python messages, stubs, type stubs, the client's services and the OpenAPI document.

`generate.py OUT`
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import descriptors
import openapi
import services
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
VALIDATE = "buf/validate/validate.proto"
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
OPENAPI = Path("palimpsest/v1/openapi.json")
SERVICES = Path("palimpsest/services.py")


def contract() -> list[str]:
    """The contract's own files, relative to `protos/`."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("palimpsest/**/*.proto"))


def run_protoc(arguments: Sequence[str]) -> None:
    """Raises SystemExit when protoc fails; it has printed why."""
    code = protoc.main(["protoc", *arguments])
    if code:
        raise SystemExit(code)


def generate(out: Path, sources: Sequence[str]) -> None:
    """Replaces the packages in `out` by fresh ones.

    Args:
        out: The folder in which `palimpsest` and `buf` lie.
        sources: Arguments that tell protoc where files come from.
    """
    for package in ("palimpsest", "buf"):
        shutil.rmtree(out / package, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    files = contract()
    with_services = [
        name for name in files if re.search(r"^service ", (PROTOS / name).read_text(), re.MULTILINE)
    ]
    plugins = [
        f"--plugin={name}={Path(sys.executable).with_name(name)}"
        for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
    ]
    sources = [*sources, *plugins]
    run_protoc([*sources, f"--python_out={out}", f"--mypy_out=quiet:{out}", *files, VALIDATE])
    run_protoc(
        [*sources, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *with_services]
    )
    for typed in ("palimpsest", "buf/validate"):
        (out / typed / "py.typed").touch()


def describe(out: Path, sources: Sequence[str]) -> None:
    """Writes the OpenAPI document next to the messages in `out`, and the client's services."""
    described = descriptors.read(run_protoc, sources, contract())
    openapi.write(described, PROTOS / "examples.json", out / OPENAPI)
    services.write(described, out / SERVICES)


def main(out: Path) -> None:
    sources = [f"-I{PROTOS}", f"-I{WELL_KNOWN}"]
    generate(out, sources)
    describe(out, sources)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Code that buf generates as `protos/buf.gen.yaml` says, by compilers that are installed here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.harness import REPOSITORY

TEMPLATE: Final = REPOSITORY / "protos" / "buf.gen.yaml"
BUILD: Final = REPOSITORY / "build" / "languages"
INSTALL_SECONDS: Final = 600


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    """What a command prints."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def plugins() -> dict[str, dict[str, Any]]:
    """Those of the template by name, as "protocolbuffers/go"."""
    template = yaml.safe_load(TEMPLATE.read_text())
    return {plugin["remote"].removeprefix("buf.build/"): plugin for plugin in template["plugins"]}


def generate(
    out: Path, local: Mapping[str, Sequence[str | Path]], environment: Mapping[str, str]
) -> None:
    """Write the contract's code into `out`.

    Args:
        out: Where `gen` begins.
        local: The programs that stand for plugins of the template.
        environment: Of the programs.
    """
    known = plugins()
    run_buf(
        out,
        "protos/palimpsest",
        [
            {
                **{key: value for key, value in known[name].items() if key != "remote"},
                "local": [str(part) for part in program],
                "out": str(out / known[name]["out"]),
            }
            for name, program in local.items()
        ],
        environment,
    )


def run_buf(
    folder: Path,
    path: str,
    local: Sequence[Mapping[str, object]],
    environment: Mapping[str, str],
) -> None:
    """Generate code of the files below a path.

    Args:
        folder: Where the template is written.
        path: Of a folder in the repository.
        local: Plugins, as a template has them.
        environment: Of the plugins.
    """
    template = {
        "version": "v2",
        "inputs": [{"directory": "protos", "paths": [path]}],
        "plugins": [dict(plugin) for plugin in local],
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "buf.gen.yaml"
    written.write_text(yaml.safe_dump(template))
    buf = Path(sys.executable).with_name("buf")
    run([buf, "generate", "--template", written], REPOSITORY, environment)


def example(language: str, address: str) -> str:
    """The program in that language of the page for clients, which calls `address`."""
    page = (REPOSITORY / "protos" / "CLIENTS.md").read_text()
    program = page.split(f"```{language}\n", 1)[1].split("```", 1)[0]
    assert "127.0.0.1:50051" in program
    return program.replace("127.0.0.1:50051", address)


def promised_output(language: str) -> str:
    """What the page says that this program prints."""
    page = (REPOSITORY / "protos" / "CLIENTS.md").read_text()
    return page.split(f"```{language}\n", 1)[1].split("```\n", 2)[2].split("```", 1)[0]

"""Imports point one way, and the rules need the standard library alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CORE = sorted((REPOSITORY / "service" / "core").glob("**/*.py"))


def imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: a relative import"
            yield node.module or ""


def test_imports_keep_to_the_contracts() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", CORE, ids=lambda path: path.stem)
def test_core_imports_the_standard_library_alone(source: Path) -> None:
    for module in imported(source):
        top = module.partition(".")[0]
        assert top in sys.stdlib_module_names or module.startswith("service.core"), module

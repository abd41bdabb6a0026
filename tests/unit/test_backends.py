"""Tests that run on every backend know none, and what does not run everywhere is listed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

from tests.backends.scope import BACKENDS, ON_EACH, ON_POSTGRES, ON_SQLITE_ALONE, runs_on

FOLDER = Path(__file__).resolve().parents[1]

DRIVERS = ("aiosqlite", "asyncpg", "service.storage.postgres", "service.storage.sqlite", "sqlite3")

HELPERS = {
    "faults/disks.py": "faults/test_outages.py",
    "faults/emptying.py": "faults/test_outages.py",
    "faults/outages.py": "faults/test_outages.py",
}
"""Modules that know a backend, and the tests of that backend alone that use them."""


def neutral() -> Iterator[PurePath]:
    """Modules that every backend runs, from the folder `tests` on."""
    for path in sorted(FOLDER.glob("**/*.py")):
        relative = path.relative_to(FOLDER)
        shared = len(relative.parts) == 1 or relative.parts[0] in ON_EACH
        excepted = str(relative) in ON_SQLITE_ALONE.keys() | HELPERS.keys()
        if shared and not excepted and not set(BACKENDS) & set(relative.parts):
            yield relative


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", list(neutral()), ids=str)
def test_what_runs_on_every_backend_opens_no_database_by_itself(path: PurePath) -> None:
    found = [name for name in imported(FOLDER / path) if f"{name}.".startswith(_PREFIXES)]
    assert not found


_PREFIXES = tuple(f"{driver}." for driver in DRIVERS)


def test_what_is_excepted_is_there() -> None:
    for name, reason in ON_SQLITE_ALONE.items():
        file, _, test = name.partition("::")
        text = (FOLDER / file).read_text()
        assert not test or f"def {test}(" in text
        assert reason
        assert PurePath(file).parts[0] in ON_EACH
    assert {*HELPERS.values()} <= ON_SQLITE_ALONE.keys()
    for folder in ON_EACH | ON_POSTGRES:
        assert (FOLDER / folder).is_dir()


@pytest.mark.parametrize(
    ("file", "backends"),
    [
        ("rpc/test_batches.py", {"sqlite", "postgres"}),
        ("rpc/test_tls.py", {"sqlite"}),
        ("storage/test_time.py", {"sqlite", "postgres"}),
        ("storage/sqlite/test_administration.py", {"sqlite"}),
        ("storage/postgres/test_administration.py", {"postgres"}),
        ("replicas/test_starts.py", {"postgres"}),
        ("unit/test_limits.py", {"sqlite"}),
    ],
)
def test_a_folder_decides(file: str, backends: set[str]) -> None:
    assert {name for name in BACKENDS if runs_on(name, PurePath(file), "test")} == backends


def test_a_single_test_can_be_excepted() -> None:
    path = PurePath("property/test_model.py")
    assert not runs_on("postgres", path, "test_a_seeded_fault_is_noticed")
    assert runs_on("postgres", path, "test_the_service_answers_as_the_contract_says")

"""Imports point one way, and the rules need the standard library alone."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise, product
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = [
    source
    for package in ("core", "ports")
    for source in sorted((REPOSITORY / "service" / package).glob("**/*.py"))
]

CONFIGURATION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["name"]: contract for contract in CONFIGURATION["tool"]["importlinter"]["contracts"]
}
LAYERS = {name: it for name, it in CONTRACTS.items() if it["type"] == "layers"}
CIRCLES = "No package has a circle of modules"

SEEDS = {
    "The transport knows the ports, not what is behind them": [
        "service.rpc.documents -> service.search",
        "service.rpc.documents -> service.storage.documents.store",
        "service.rpc.server -> service.processes.worker_process",
    ],
    "The client knows the contract, not the server": [
        "service.client.channel -> service.rpc.tls",
        "service.client.importing.run -> service.runtime.fairness",
    ],
    "The tools for agents know the contract and the rules, not the server": [
        "service.mcp.http_manager -> service.rpc.policy",
        "service.mcp.rpcs -> grpc",
    ],
    "The storage knows nothing of content, embedders and search": [
        "service.storage.documents.chunks -> service.content.chunking",
        "service.storage.index.rows -> service.search.segment",
        "service.storage.index.spaces -> service.embedding.base",
    ],
    "Search, content, embedders and settings know the rules alone": [
        "service.content.chunking -> service.embedding.tokens",
        "service.embedding.base -> service.ports.indexing",
        "service.search.segment -> service.runtime.coalescing",
        "service.settings -> service.embedding.registry",
    ],
    "The rules, search and content are computation": [
        "service.content.html -> subprocess",
        "service.core.documents -> asyncio",
        "service.search.segment -> asyncio",
        "service.search.words -> sqlite3",
    ],
    "The rules and the ports import no library": [
        "service.core -> numpy",
        "service.core -> structlog",
        "service.core.digests -> Stemmer",
        "service.ports -> numpy",
        "service.ports -> structlog",
        "service.ports.store -> sqlalchemy",
    ],
    "Only the HTTP server speaks HTTP": [
        "service.app -> uvicorn",
        "service.rpc.server -> httptools",
    ],
    "Only the HTTP server sees the library for JSON": [
        "service.app -> orjson",
        "service.rpc.errors -> orjson",
    ],
    "Only Supermemory's API sees the parser of forms": [
        "service.app -> python_multipart",
        "service.http.native -> python_multipart",
    ],
    "Only the transports and the client see generated messages and gRPC": [
        "service.cli.client -> grpc",
        "service.pipeline -> grpc",
        "service.pipeline -> palimpsest",
        "service.processes.search_worker -> google",
        "service.processes.worker_process -> grpc",
        "service.retrieval -> grpc",
        "service.runtime -> grpc",
        "service.search -> grpc",
        "service.storage -> grpc",
        "service.storage -> protovalidate",
    ],
    "Only the storage sees the database": [
        "service.pipeline.worker -> sqlalchemy",
        "service.processes.offloader -> sqlalchemy",
        "service.retrieval -> sqlalchemy",
        "service.rpc -> alembic",
        "service.runtime -> sqlalchemy",
    ],
    "Only the backend of SQLite sees its drivers": [
        "service.cli.database -> sqlite3",
        "service.pipeline.worker -> sqlite3",
        "service.storage.engine -> aiosqlite",
    ],
    "Only the backend of PostgreSQL sees its driver": [
        "service.storage.engine -> asyncpg",
        "service.storage.sqlite.store -> asyncpg",
    ],
    "Only the command line sees its framework": [
        "service.app -> click",
        "service.client -> click",
        "service.rpc -> click",
        "service.settings -> click",
    ],
    "Only the tools for agents see the SDK of their protocol": [
        "service.cli.agents -> mcp",
        "service.client -> mcp_types",
        "service.http -> starlette",
    ],
    "Only settings, options and agents' tools have models of pydantic": [
        "service.app -> pydantic",
        "service.ports -> pydantic",
        "service.storage -> pydantic_settings",
    ],
    "Only the HTTP server writes metrics": [
        "service.rpc -> prometheus_client",
        "service.storage -> prometheus_client",
    ],
    "Only tracing sees OpenTelemetry": [
        "service.app -> opentelemetry",
        "service.rpc -> opentelemetry",
        "service.runtime -> opentelemetry",
    ],
    "Only settings know where applications have their data": [
        "service.cli.data_dir -> platformdirs",
        "service.storage -> platformdirs",
    ],
    "Only the app, the transport and the logs see the library for logs": [
        "service.core -> structlog",
        "service.pipeline -> structlog",
        "service.ports -> structlog",
        "service.runtime.fairness -> structlog",
        "service.storage -> structlog",
    ],
    "Only the interpreter's set-up chooses the event loop": [
        "service.rpc -> uvloop",
        "service.runtime -> uvloop",
    ],
    "Only search and embedders compute with arrays": [
        "service.core -> numpy",
        "service.ports -> numpy",
        "service.rpc -> numpy",
        "service.storage -> numpy",
    ],
    "Only search stems words": ["service.content -> Stemmer", "service.storage -> Stemmer"],
    "Only embedders and webhooks send requests over HTTP": [
        "service.client -> httpx",
    ],
    "Only embedders run models": [
        "service.pipeline -> tokenizers",
        "service.processes.compute_worker -> onnxruntime",
    ],
    "Only the kinds of content see their parsers": [
        "service.client -> markdown_it",
        "service.pipeline -> markdown_it",
    ],
    "Only the kinds of files see the libraries that read them": [
        "service.content.html -> mammoth",
        "service.pipeline -> pypdf",
    ],
}
"""Wrong imports by the contract that forbids them."""


def imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: a relative import"
            yield node.module or ""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `lint-imports` says of the code in this folder, without line breaks."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )


def broken_contracts(copy: Path) -> dict[str, str]:
    """Contracts that the code in this folder breaks, each with its part of the report."""
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    _, _, report = done.stdout.partition("Broken contracts")
    parts = dict[str, str]()
    lines = report.splitlines()
    for line, rule in pairwise(lines):
        if line in CONTRACTS and rule == "-" * len(line):
            name = line
            parts[name] = ""
        elif parts:
            parts[name] += line + "\n"
    return parts


def seed(copy: Path, arrows: Iterable[str]) -> None:
    """Add imports, each written as "importer -> imported"."""
    for arrow in arrows:
        importer, imported_name = arrow.split(" -> ")
        path = copy.joinpath(*importer.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        with path.open("a") as file:
            file.write(f"\nimport {imported_name}\n")


def upward(contract: dict[str, Any]) -> Iterator[str]:
    """Imports from each module of a layer of all modules in the layer above, and of a sibling."""
    prefix = contract["containers"][0]
    layers = [[f"{prefix}.{it}" for it in layer.split(" | ")] for layer in contract["layers"]]
    for above, below in pairwise(layers):
        for importer, imported_name in product(below, above):
            yield f"{importer} -> {imported_name}"
    for layer in layers:
        for importer, imported_name in pairwise(layer):
            yield f"{importer} -> {imported_name}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the service and its contracts, to be changed."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "service", tmp_path / "service", ignore=ignored)
    return tmp_path


@pytest.mark.processes
def test_imports_keep_to_the_contracts() -> None:
    done = lint_imports(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_is_tried() -> None:
    assert {*SEEDS, *LAYERS, CIRCLES} == set(CONTRACTS)


@pytest.mark.processes
def test_wrong_imports_break_the_contract_that_forbids_them(copy: Path) -> None:
    seed(copy, chain.from_iterable(SEEDS.values()))
    broken = broken_contracts(copy)
    for name, arrows in SEEDS.items():
        report = broken.get(name, "")
        for arrow in arrows:
            assert f" {arrow} (l." in report, (name, report)


@pytest.mark.processes
def test_upward_imports_break_the_layers(copy: Path) -> None:
    for contract in LAYERS.values():
        seed(copy, upward(contract))
    broken = broken_contracts(copy)
    for name, contract in LAYERS.items():
        report = broken.get(name, "")
        for arrow in upward(contract):
            importer, imported_name = arrow.split(" -> ")
            assert f"{importer} is not allowed to import {imported_name}:" in report, (name, report)


@pytest.mark.processes
def test_unlisted_modules_and_circles_are_found(copy: Path) -> None:
    containers = [it["containers"][0] for it in LAYERS.values()]
    for container in containers:
        copy.joinpath(*container.split("."), "unlisted.py").touch()
    first, second = "service.search.words", "service.search.entry"
    seed(copy, [f"{first} -> {second}", f"{second} -> {first}"])
    broken = broken_contracts(copy)
    assert set(broken) == {*LAYERS, CIRCLES}
    for name, container in zip(LAYERS, containers, strict=True):
        assert f"- {container}.unlisted" in broken[name]
    assert "No cycles are allowed in service.search." in broken[CIRCLES]


def test_the_page_of_the_code_has_the_layers() -> None:
    _, _, table = (REPOSITORY / "service" / "README.md").read_text().partition("|---|---|\n")
    rows = [row.split("|")[1] for row in table.partition("\n\n")[0].splitlines()]
    shown = [
        {name.replace("/", ".") for name in re.findall(r"`([\w/]+?)/?(?:\.py)?`", it)}
        for it in rows
    ]
    (layers,) = (it["layers"] for it in LAYERS.values() if it["containers"] == ["service"])
    assert shown == [set(layer.split(" | ")) for layer in layers]


def test_every_library_has_its_contract() -> None:
    """A library that no contract names could be imported anywhere."""
    named = {
        module
        for contract in CONTRACTS.values()
        for module in contract.get("protected_modules", ())
    }
    known = named | {"service", "_typeshed"} | sys.stdlib_module_names
    for source in (REPOSITORY / "service").glob("**/*.py"):
        assert not {module.partition(".")[0] for module in imported(source)} - known, source


@pytest.mark.parametrize("source", RULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_rules_and_ports_import_the_standard_library_alone(source: Path) -> None:
    rules = source.is_relative_to(REPOSITORY / "service" / "core")
    allowed = "service.core" if rules else ("service.core", "service.ports")
    for module in imported(source):
        top = module.partition(".")[0]
        assert top in sys.stdlib_module_names or module.startswith(allowed), module

"""Random requests made from the OpenAPI document, by schemathesis.

`python -m tests.http.fuzz --seconds 300` sends them to a server of its own, looks at every
answer and exits with 1 when one is a 5xx, or is not as the document says.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.http import openapi
from tests.harness import Server, running_server

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)
PATIENCE: Final = 120
"""Seconds that a request may take: many more than one does on a busy machine."""

_CASES: Final = re.compile(r"(\d+) generated")


@dataclass(frozen=True)
class Outcome:
    """What a run of schemathesis did, and all that it printed."""

    passed: bool
    requests: int
    output: str


def answerable() -> dict[str, Any]:
    """The document without streams that go on until their callers end them.

    Other suites send those random requests: tests/hostile/barrage.py and test_fields.py.
    """
    document = openapi.document()
    del document["paths"]["/v1/changes:watch"]
    return document


def without_filters() -> dict[str, Any]:
    """The document without filters, which take longer to make up than all the rest."""
    document = answerable()
    for schema in document["components"]["schemas"].values():
        schema.get("properties", {}).pop("filter", None)
    return document


def flat_filters() -> dict[str, Any]:
    """The document with filters that do not nest: of those there are too many to try all."""
    document = answerable()
    filters = document["components"]["schemas"]["Filter"]["properties"]
    for nesting in ("allOf", "anyOf", "negated"):
        del filters[nesting]
    return document


def fuzz(
    server: Server, key: str, document: dict[str, Any], folder: Path, *options: str
) -> Outcome:
    """Run schemathesis against a server.

    Args:
        key: Of a tenant of its own.
        document: What to make requests of.
        folder: For its files.
        options: Of `st run`.
    """
    path = folder / "openapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            "run",
            path,
            f"--url=http://{server.http}",
            f"--header=Authorization: Bearer {key}",
            f"--checks={','.join(CHECKS)}",
            f"--request-timeout={PATIENCE}",
            "--suppress-health-check=all",
            "--continue-on-failure",
            "--warnings=off",
            *options,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    return Outcome(done.returncode == 0, sum(map(int, _CASES.findall(output))), output)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.http.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="which repeats a run; 0: another each")
    options = parser.parse_args()
    seed = [f"--seed={options.seed}"] if options.seed else []
    requests, passed = 0, True
    with tempfile.TemporaryDirectory() as name, running_server(Path(name) / "data") as server:
        for document, phases in (
            (flat_filters(), ["--phases=examples,coverage"]),
            (
                answerable(),
                [
                    "--phases=fuzzing,stateful",
                    "--max-examples=1000",
                    f"--max-time={options.seconds}",
                ],
            ),
        ):
            outcome = fuzz(server, server.key, document, Path(name), *phases, *seed)
            requests += outcome.requests
            if not outcome.passed:
                passed = False
                sys.stdout.write(outcome.output)
    sys.stdout.write(
        f"schemathesis: {requests:,} requests, {'no findings' if passed else 'FINDINGS above'}\n"
    )
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.cancellation --calls N`: calls cancelled at random moments."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import uvloop

from service.runtime import logs
from tests.cancellation import running


def main() -> int:
    """The exit code: 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.cancellation", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"cancellation: seed {options.seed}")  # noqa: T201
    logs.configure("error", "console", sys.stderr)
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as directory:
        findings = uvloop.run(running.trial(Path(directory), options.calls, options.seed))
    print(*findings.lines(), *findings.faults[:50], sep="\n")  # noqa: T201
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main())

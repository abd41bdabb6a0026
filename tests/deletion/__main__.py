"""`python -m tests.deletion --operations N`: deleted texts are gone from the files."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from service.storage.engine import StoreOptions
from tests.backends.selection import backend_of
from tests.deletion import trial


async def _run(directory: Path, operations: int, seed: int) -> trial.Findings:
    options = StoreOptions(checkpoint_interval=1, scrub_interval=3600)
    backend = backend_of(directory)
    store = await backend.open(options=options)
    try:
        secret = await store.ensure_first_key()
        assert secret is not None
        principal = await store.keys.authenticate(secret)
        return await trial.run(backend, store, principal, operations, seed)
    finally:
        await store.close()


def main() -> int:
    """The exit code: 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.deletion", description=__doc__)
    parser.add_argument("--operations", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    print(f"deletion: seed {options.seed}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as directory:
        findings = asyncio.run(_run(Path(directory), options.operations, options.seed))
    print(*findings.lines(), sep="\n")  # noqa: T201
    if findings.after_checkpoint:
        print(f"deletion: before the scrub: {dict(findings.after_checkpoint)}")  # noqa: T201
    broken = findings.after_scrub or findings.unreadable or findings.share_before > trial.SHARE
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

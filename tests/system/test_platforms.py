"""What serving needs can be installed without a compiler on every platform that is promised."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from tests.harness import REPOSITORY
from tests.system.process import UV, clean_environment
from tests.waiting import HANG_SECONDS

PLATFORMS = {
    "Linux (glibc 2.28 or newer)": ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28"),
    "Linux (musl 1.2 or newer)": ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"),
    "macOS (11 or newer)": ("x86_64-apple-darwin", "aarch64-apple-darwin"),
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def test_the_operations_page_names_the_same_platforms() -> None:
    page = (REPOSITORY / "service" / "OPERATIONS.md").read_text()
    for each in PLATFORMS:
        assert f"| {each} |" in page
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in page


def resolve(platform: str, python: str, target: Path) -> str:
    """What the package manager says when it cannot install the lock there; empty if it can."""
    command = [
        *(UV, "pip", "install", "--dry-run", "--quiet", "--no-config", "--only-binary", ":all:"),
        *("--python", sys.executable, "--target", str(target)),
        *("--python-platform", platform, "--python-version", python),
        *("--require-hashes", "-r", "requirements.lock"),
    ]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=clean_environment(MACOSX_DEPLOYMENT_TARGET="11.0"),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    return f"{platform}, Python {python}: {done.stderr}" if done.returncode else ""


def test_the_lock_has_wheels_for_every_platform(tmp_path: Path) -> None:
    platforms = [each for many in PLATFORMS.values() for each in many]
    with ThreadPoolExecutor(8) as pool:
        told = pool.map(lambda at: resolve(at[0], at[1], tmp_path), product(platforms, PYTHONS))
    assert [each for each in told if each] == []

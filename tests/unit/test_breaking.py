"""Breaking changes of the contract fail, whatever a clone knows of its past."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

REPOSITORY = Path(__file__).resolve().parents[2]
AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
# A git hook's variables name the repository of the hook.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", *AUTHOR, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )


def compare(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of the comparison, and what it said."""
    done = subprocess.run(
        [sys.executable, "protos/breaking.py", *arguments],
        cwd=folder,
        env=ENVIRONMENT | {"GIT_CEILING_DIRECTORIES": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def break_contract(folder: Path) -> None:
    proto = folder / "protos" / "palimpsest" / "v1" / "filter.proto"
    text = proto.read_text()
    assert " = 1" in text
    proto.write_text(text.replace(" = 1", " = 91", 1))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The contract in a folder of its own, without git."""
    folder = tmp_path / "copy"
    shutil.copytree(REPOSITORY / "protos", folder / "protos")
    return folder


@pytest.fixture
def clone(copy: Path) -> Path:
    """The contract in a repository of one commit."""
    git(copy, "init", "--quiet", "--initial-branch=main")
    git(copy, "add", ".")
    git(copy, "commit", "--quiet", "--message=First")
    return copy


def test_an_unchanged_contract_passes(clone: Path) -> None:
    code, output = compare(clone)
    assert code == 0, output
    assert "against main" in output


def test_a_changed_number_fails(clone: Path) -> None:
    break_contract(clone)
    code, output = compare(clone)
    assert code != 0
    assert "filter.proto" in output


def test_the_last_tag_comes_before_the_branch(clone: Path) -> None:
    git(clone, "tag", "v1.0.0")
    break_contract(clone)
    git(clone, "commit", "--quiet", "--all", "--message=Second")
    code, output = compare(clone)
    assert code != 0
    assert "against v1.0.0" in output
    assert compare(clone, "main")[0] == 0


def test_without_tag_and_branch_the_commit_is_compared(clone: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{clone}", str(shallow))
    git(shallow, "checkout", "--quiet", "--detach")
    git(shallow, "branch", "--quiet", "--delete", "--force", "main")
    git(shallow, "remote", "remove", "origin")
    break_contract(shallow)
    code, output = compare(shallow)
    assert code != 0
    assert "against HEAD" in output


def test_without_git_nothing_is_compared(copy: Path) -> None:
    code, output = compare(copy)
    assert code == 0
    assert "no contract in git to compare with" in output


def test_a_named_revision_must_exist(clone: Path) -> None:
    code, output = compare(clone, "v9")
    assert code == 2
    assert "v9 is no commit of this repository" in output

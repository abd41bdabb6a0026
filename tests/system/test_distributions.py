"""The wheel and the source distribution of the server: what is in them, and that they run."""

from __future__ import annotations

import csv
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.harness import REPOSITORY
from tests.system.process import clean_environment, serving, uv
from tests.system.test_module_path import use
from tests.waiting import HANG_SECONDS

PROJECT = "palimpsest-memory"


def build(source: Path, out: Path, *targets: str) -> None:
    """Build without a network, with the hatchling that is installed."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out), *targets],
        cwd=source,
        env=clean_environment(),
        check=True,
        capture_output=True,
        timeout=HANG_SECONDS,
    )


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder = tmp_path_factory.mktemp("dist")
    build(REPOSITORY, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


def test_the_wheel_has_no_file_of_another_distribution(wheel: Path) -> None:
    owners: dict[str, str] = {}
    for other in distributions():
        if (name := other.name) != PROJECT:
            rows = csv.reader((other.read_text("RECORD") or "").splitlines())
            owners.update((row[0], name) for row in rows)
    assert "protovalidate" in owners.values()
    assert {name: owners[name] for name in files_of(wheel) if name in owners} == {}


def test_the_wheel_has_the_service_and_the_messages_and_nothing_else(wheel: Path) -> None:
    expected = {
        str(path.relative_to(root))
        for top, package in (("", "service"), ("generated", "palimpsest"), ("generated", "buf"))
        for root in (REPOSITORY / top,)
        for path in (root / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    expected.remove("palimpsest/services.py")  # of the client
    found = {name for name in files_of(wheel) if ".dist-info/" not in name}
    assert found == expected


def test_the_source_distribution_builds_the_same_wheel(
    built: Path, wheel: Path, tmp_path: Path
) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    build(folder, tmp_path / "again", "-t", "wheel")
    (again,) = (tmp_path / "again").glob("*.whl")
    assert files_of(again) == files_of(wheel)


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with what `requirements.lock` has and the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    uv("venv", "--python", sys.executable, "--clear", folder)
    into = ("--python", python_of(folder))
    locked = ("--require-hashes", "-r", REPOSITORY / "requirements.lock")
    uv("pip", "install", *into, "--only-binary", ":all:", *locked)
    uv("pip", "install", *into, "--no-deps", "--offline", wheel)
    uv("pip", "check", *into)
    return folder


def python_of(home: Path) -> Path:
    return home / "bin" / "python"


def test_the_installed_packages_are_those_of_the_wheel(home: Path, tmp_path: Path) -> None:
    script = "import buf.validate, palimpsest.v1, service; print(service.__file__)"
    done = subprocess.run(
        [python_of(home), "-c", script],
        env=clean_environment(),
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert Path(done.stdout.strip()).is_relative_to(home)


def test_the_command_tells_the_version(home: Path) -> None:
    done = subprocess.run(
        [home / "bin" / "palimpsest", "--version"],
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert done.stdout == f"palimpsest, version {project['version']}\n"


async def test_the_installed_wheel_serves(home: Path, tmp_path: Path) -> None:
    command = [str(home / "bin" / "palimpsest")]
    with serving(tmp_path / "data", "--workers=1", command=command, cwd=tmp_path) as (
        process,
        address,
    ):
        await use(process.pid, address, (tmp_path / "data" / "first-key").read_text().strip())
    assert process.returncode == 0


def test_without_a_folder_the_data_is_where_applications_have_theirs(
    home: Path, tmp_path: Path
) -> None:
    data = tmp_path / "home" / ".local" / "share" / "palimpsest"
    environment = clean_environment(HOME=str(tmp_path / "home"), PALIMPSEST_HTTP="")
    environment.pop("XDG_DATA_HOME", None)
    command = [str(home / "bin" / "palimpsest")]
    with serving(data, command=command, named=False, environment=environment, cwd=tmp_path) as (
        process,
        address,
    ):
        # The commands of a client find the key there, too.
        texts = tmp_path / "texts"
        texts.mkdir()
        (texts / "harbour.md").write_text("The harbour is closed in winter.")
        for arguments in (
            ("import", str(texts), "--container", "docs"),
            ("search", "closed harbour"),
        ):
            done = subprocess.run(
                [*command, *arguments, "--address", address],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
                timeout=HANG_SECONDS,
            )
        assert "The harbour is closed" in done.stdout
    assert process.returncode == 0

"""The wheel and the source distribution of the server: what is in them, and that they run."""

from __future__ import annotations

import csv
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.harness import REPOSITORY
from tests.system.process import LIMIT, clean_environment, serving
from tests.system.test_module_path import use

PROJECT = "palimpsest-memory"


def build(source: Path, out: Path, *targets: str) -> None:
    """Build without a network, with the hatchling that is installed."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out), *targets],
        cwd=source,
        env=clean_environment(),
        check=True,
        capture_output=True,
        timeout=LIMIT,
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
    """A virtual environment with the wheel, and with what it depends on."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    # The project itself is installed there as editable, by a .pth file, which counts for nothing
    # in a folder that is named by another one.
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(python_of(folder))]
    subprocess.run(
        [*pip, "install", "-q", "--no-index", "--no-deps", str(wheel)],
        env=clean_environment(PIP_DISABLE_PIP_VERSION_CHECK="1"),
        check=True,
        timeout=LIMIT,
    )
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
        timeout=LIMIT,
    )
    assert Path(done.stdout.strip()).is_relative_to(home)


async def test_the_installed_wheel_serves(home: Path, tmp_path: Path) -> None:
    command = [str(home / "bin" / "palimpsest")]
    with serving(tmp_path / "data", "--workers=1", command=command, cwd=tmp_path) as (
        process,
        address,
    ):
        await use(process.pid, address, (tmp_path / "data" / "first-key").read_text().strip())
    assert process.returncode == 0

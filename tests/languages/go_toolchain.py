"""Go, from PyPI, and the packages that generated clients import, from Debian."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.languages.generated import BUILD, run, run_buf

_REQUIREMENTS: Final = Path(__file__).parent / "go" / "requirements.txt"
_FOLDER: Final = BUILD / "go"
_PACKAGES: Final = (
    "golang-github-golang-protobuf-1-5-dev",
    "golang-golang-x-net-dev",
    "golang-golang-x-sys-dev",
    "golang-golang-x-text-dev",
    "golang-google-genproto-dev",
    "golang-google-grpc-dev",
    "golang-google-protobuf-dev",
    "protoc-gen-go",
    "protoc-gen-go-grpc",
)


class GoToolchain:
    """A Go compiler with packages in `GOPATH`, installed into `build/languages/go` once."""

    def __init__(self) -> None:
        self._root = _FOLDER / "python"
        self.workspace = _FOLDER / "workspace"
        """`GOPATH`; sources are in its folder `src`."""
        self._debian = _FOLDER / "debian"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(_FOLDER),
            "GOROOT": str(self._root / "go"),
            "GOPATH": str(self.workspace),
            "GOCACHE": str(_FOLDER / "cache"),
            "GO111MODULE": "off",
            "CGO_ENABLED": "0",
        }

    def install(self) -> None:
        done = _FOLDER / "installed"
        if done.exists() and done.read_text() == self._wanted():
            return
        shutil.rmtree(_FOLDER, ignore_errors=True)
        _FOLDER.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(
            [*pip, "--target", self._root, "--require-hashes", "-r", _REQUIREMENTS],
            _FOLDER,
            os.environ,
        )
        self._install_packages()
        shutil.copytree(self._debian / "usr/share/gocode/src", self.workspace / "src")
        # The package of protovalidate is in no registry that Debian's Go reads.
        own = [{"local": str(self.plugin("protoc-gen-go")), "out": str(self.workspace / "src")}]
        run_buf(_FOLDER, "protos/buf", own, self.environment)
        done.write_text(self._wanted())

    @staticmethod
    def _wanted() -> str:
        return "\n".join((_REQUIREMENTS.read_text(), *_PACKAGES))

    def _install_packages(self) -> None:
        """Unpack packages of Debian without installing them, as any user may."""
        apt = _FOLDER / "apt"
        for folder in ("lists/partial", "cache/archives/partial", "packages"):
            (apt / folder).mkdir(parents=True)
        options: Sequence[str] = (
            *("-o", f"Dir::State::Lists={apt / 'lists'}", "-o", f"Dir::Cache={apt / 'cache'}"),
            *("-o", "APT::Sandbox::User="),
        )
        run(["apt-get", *options, "-q", "update"], apt, os.environ)
        run(["apt-get", *options, "-q", "download", *_PACKAGES], apt / "packages", os.environ)
        for package in sorted((apt / "packages").glob("*.deb")):
            run(["dpkg", "-x", package, self._debian], apt, os.environ)

    def plugin(self, name: str) -> Path:
        """A compiler plugin, such as "protoc-gen-go"."""
        return self._debian / "usr" / "bin" / name

    def build(self, program: str, out: Path) -> None:
        """Compile a program."""
        source = self.workspace / "src" / "example"
        source.mkdir(exist_ok=True)
        (source / "main.go").write_text(program)
        go = self._root / "go" / "bin" / "go"
        run([go, "build", "-o", out, "example"], source, self.environment)

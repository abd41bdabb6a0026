"""Output that nobody takes: no traceback, and no server that ends of it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.system.process import PALIMPSEST, clean_environment, events, run, serving
from tests.waiting import wait_until

Output = Callable[[], int]


def full() -> int:
    """A device without room."""
    return os.open("/dev/full", os.O_WRONLY)


def unread() -> int:
    """A pipe whose reader has gone."""
    source, sink = os.pipe()
    os.close(source)
    return sink


OUTPUTS = [full, unread]
DATA = ("--data-dir", "{data}")

COMMANDS: list[Sequence[str]] = [
    ("--help",),
    ("migrate", *DATA),
    ("keys", "create", *DATA),
    ("keys", "list", *DATA),
    ("check", *DATA),
    ("backup", "{data}/copy", *DATA),
    ("scrub", *DATA),
    ("reindex", *DATA),
]
TALKATIVE: list[Sequence[str]] = [
    ("keys", "create", *DATA),
    ("check", *DATA),
    ("backup", "{data}/copy", *DATA),
    ("reindex", *DATA),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database and one key."""
    folder = tmp_path_factory.mktemp("output") / "data"
    made = run("keys", "create", "--init", "--data-dir", folder)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.parametrize(
    ("command", "output"),
    [*((command, full) for command in COMMANDS), (COMMANDS[0], unread), (COMMANDS[3], unread)],
)
def test_a_command_ends_without_a_traceback(
    data: Path, command: Sequence[str], output: Output
) -> None:
    sink = output()
    done = run(*(part.format(data=data) for part in command), stdout=sink)
    os.close(sink)
    (data / "copy").unlink(missing_ok=True)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert (b"No space left" in done.stderr) is (output is full)


@pytest.mark.parametrize(
    ("command", "output"), [*((command, full) for command in TALKATIVE), (TALKATIVE[0], unread)]
)
def test_messages_that_nobody_takes_fail_no_command(
    data: Path, command: Sequence[str], output: Output
) -> None:
    sink = output()
    done = run(*(part.format(data=data) for part in command), stderr=sink)
    os.close(sink)
    (data / "copy").unlink(missing_ok=True)
    assert done.returncode == 0


@pytest.mark.parametrize("output", OUTPUTS)
def test_wrong_usage_keeps_its_exit_code(output: Output) -> None:
    sink = output()
    assert run("serve", "--listen", "nowhere", stderr=sink).returncode == 2
    os.close(sink)


def test_a_command_with_closed_streams_does_its_work(data: Path) -> None:
    shell = f'exec "{PALIMPSEST}" keys list --data-dir "{data}" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", shell], env=clean_environment(), check=False)
    assert done.returncode == 0


def valid_keys(data: Path) -> int:
    return run("keys", "list", "--data-dir", data).stdout.count(b"\tvalid\t")


def test_a_key_that_could_not_be_printed_is_not_in_force(data: Path) -> None:
    before = valid_keys(data)
    sink = full()
    assert run("keys", "create", "--data-dir", data, stdout=sink).returncode == 1
    os.close(sink)
    assert valid_keys(data) == before


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("form", ["console", "json"])
def test_a_server_goes_on_without_output(tmp_path: Path, output: Output, form: str) -> None:
    sink = output()
    with serving(
        tmp_path / "data", f"--log-format={form}", "--log-level=debug", stdout=sink, stderr=sink
    ) as (process, address):
        os.close(sink)
        assert uploads(tmp_path, address).returncode == 0
        process.terminate()
        assert process.wait(60) == 0


def uploads(folder: Path, address: str) -> subprocess.CompletedProcess[bytes]:
    (folder / "a.txt").write_text("The harbour is closed on winter nights.")
    key = folder / "data" / "first-key"
    wait_until(key.exists)
    options = ("--container", "c", "--address", address, "--key-file", key)
    return run("import", folder / "a.txt", *options)


def test_a_server_goes_on_when_nobody_reads_its_log(tmp_path: Path) -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    try:
        while True:
            os.write(sink, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(sink, True)
    with serving(tmp_path / "data", "--log-level=debug", stderr=sink) as (process, address):
        os.close(sink)
        assert uploads(tmp_path, address).returncode == 0
        process.terminate()
        assert process.wait(60) == 0
    os.close(source)


def test_the_first_key_is_told_where_it_cannot_be_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        serving(tmp_path / "data", stdout=output, stderr=output),
    ):
        wait_until(lambda: b"Palimpsest is serving" in log.read_bytes())
        text = log.read_text()
    assert (tmp_path / "data" / "first-key").read_text().strip() not in text
    assert f"The first key is in {tmp_path / 'data' / 'first-key'}" in text


def test_the_first_key_is_shown_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with serving(tmp_path / "data", stdout=theirs, stderr=subprocess.DEVNULL):
        key = (tmp_path / "data" / "first-key").read_bytes().strip()
        shown = b""
        while key not in shown:
            shown += os.read(ours, 65_536)
    for end in (ours, theirs):
        os.close(end)


def test_with_json_nothing_else_is_said_where_there_is_no_terminal(tmp_path: Path) -> None:
    output, log = tmp_path / "output", tmp_path / "log"
    with (
        output.open("wb") as stdout,
        log.open("wb") as stderr,
        serving(tmp_path / "data", "--log-format=json", stdout=stdout, stderr=stderr),
    ):
        key_file = tmp_path / "data" / "first-key"
        wait_until(lambda: b"the first key is in" in log.read_bytes())
        secret = key_file.read_text().strip()
    assert output.read_bytes() == b""
    told = [line["event"] for line in events(log)]
    assert f"the first key is in {key_file}" in told
    assert "serving" in told
    assert secret not in log.read_text()

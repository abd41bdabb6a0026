"""`import`, `search` and `health` against servers of every kind: words and exit codes."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from service import app
from service.cli import main
from service.client.address import parse_address
from service.client.diagnosis import diagnose
from service.client.target import ClientTls, Target
from service.settings import Settings
from service.tls_files import read_authorities
from tests.client import connected
from tests.harness import REPOSITORY, environment
from tests.rpc.test_tls import PEM

TRUSTED = ("--tls-ca", str(PEM / "ca.pem"))


@pytest.fixture(autouse=True)
def _no_lines_of_the_server() -> Iterator[None]:
    """What it logs is not what the commands print."""
    with capture_logs():
        yield


def shown(name: str) -> tuple[str, ...]:
    return ("--tls-cert", str(PEM / f"{name}.pem"), "--tls-key", str(PEM / f"{name}.key"))


def served(folder: Path, certificate: str | None, **values: object) -> Any:
    """The service in the running loop; with this certificate, over TLS."""
    settings: dict[str, Any] = {
        "data_dir": folder / "data",
        "listen": "127.0.0.1:0",
        "workers": 1,
        "compute_processes": 0,
        **values,
    }
    if certificate is not None:
        settings["tls_cert"] = PEM / f"{certificate}.pem"
        settings["tls_key"] = PEM / f"{certificate}.key"
    return app.running(Settings(**settings))


async def run(address: str, *arguments: str, key: str | None = None) -> Result:
    env = {} if key is None else {"PALIMPSEST_KEY": key}
    command = [*arguments, "--address", address]
    if arguments[0] == "health" and "--timeout" not in arguments:
        command += ["--timeout", "60"]
    return await asyncio.to_thread(CliRunner().invoke, main, command, env=env)


async def fail_in_words(folder: Path, service: app.Service, options: tuple[str, ...]) -> str:
    """What `health` says; the other commands fail with the same words."""
    note = folder / "note.txt"
    note.write_text("A note.")
    health = await run(service.address, "health", *options)
    assert health.exit_code == 1
    for command in (("import", str(note), "--container", "notes"), ("search", "note")):
        done = await run(service.address, *command, *options, key=service.first_key)
        assert done.exit_code == 1
        assert health.stderr.strip().removeprefix("Error: ") in done.stderr
    for words in ("Traceback", "no server is serving"):
        assert words not in health.stderr
    return health.stderr


async def test_health_of_a_server_is_an_exit_code(tmp_path: Path) -> None:
    async with served(tmp_path, None) as service:
        done = await run(service.address, "health")
        assert (done.exit_code, done.stdout) == (0, "SERVING\n")
        done = await run(service.address, "health", "--service", "palimpsest.v1.Documents")
        assert (done.exit_code, done.stdout) == (0, "SERVING\n")
        done = await run(service.address, "health", "--service", "palimpsest.v1.None")
        assert done.exit_code == 1
        assert "has no service palimpsest.v1.None" in done.stderr
        await service.server._set_health(False)
        done = await run(service.address, "health")
        assert (done.exit_code, done.stdout) == (1, "NOT_SERVING\n")
    done = await run(service.address, "health")
    assert done.exit_code == 1
    assert "no server is serving" in done.stderr


@pytest.mark.parametrize("certificate", [None, "server"])
async def test_health_over_a_unix_socket(tmp_path: Path, certificate: str | None) -> None:
    socket_path = f"unix:{tmp_path / 'socket'}"
    options = () if certificate is None else TRUSTED
    done = await run(socket_path, "health", *options)
    assert done.exit_code == 1
    assert "no server is serving" in done.stderr
    async with served(tmp_path, certificate, listen=socket_path):
        assert (await run(socket_path, "health", *options)).exit_code == 0


async def test_every_command_shows_a_client_certificate(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The kettle whistles.")
    options = (*TRUSTED, *shown("client"))
    async with served(tmp_path, "server", tls_client_ca=PEM / "ca.pem") as service:
        assert (await run(service.address, "health", *options)).exit_code == 0
        command = ("import", str(note), "--container", "default")
        done = await run(service.address, *command, *options, key=service.first_key)
        assert done.exit_code == 0, done.output
        done = await run(service.address, "search", "kettle", *options, key=service.first_key)
        assert done.exit_code == 0, done.output
        assert "The kettle whistles." in done.stdout


async def test_what_is_found_sends_nothing_to_the_terminal(tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text("# Kettle \x1b]0;owned\x07\n\nIt whistles \x9b31m\x1b[2J loudly.\n")
    async with served(tmp_path, None) as service:
        command = ("import", str(note), "--container", "default")
        done = await run(service.address, *command, key=service.first_key)
        assert done.exit_code == 0, done.output
        async with connected(service.address, service.first_key) as client:
            await client.remember("The kettle \x1b[8mis hidden\x1b[0m.")
        for options in ((), ("--memories",)):
            done = await run(service.address, "search", "kettle", *options, key=service.first_key)
            assert done.exit_code == 0, done.output
            assert "\ufffd" in done.stdout
            assert {c for c in done.stdout if unicodedata.category(c) == "Cc"} == {"\n"}


async def test_searches_that_insist_on_phrases(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in {"red": "Invoice 48 is paid", "blue": "Invoice 84 is open"}.items():
        (notes / f"{name}.txt").write_text(f"{text}.")
    async with served(tmp_path, None) as service:
        command = ("import", str(notes), "--container", "default")
        done = await run(service.address, *command, key=service.first_key)
        assert done.exit_code == 0, done.output
        async with connected(service.address, service.first_key) as client:
            await client.remember("Invoice 48 is paid.", "Invoice 84 is open.")
        for kind in ((), ("--memories",)):
            for options, found in (
                ((), {"48", "84"}),
                (("--must-contain", "48"), {"48"}),
                (("--must-contain", "invoice", "--must-contain", "is open"), {"84"}),
                (("--must-not-contain", "is open"), {"48"}),
            ):
                done = await run(
                    service.address, "search", "invoice", *kind, *options, key=service.first_key
                )
                assert done.exit_code == 0, done.output
                numbers = {number for number in ("48", "84") if f"Invoice {number}" in done.stdout}
                assert numbers == found


async def test_what_is_there_several_times_is_shown_once(tmp_path: Path) -> None:
    async with served(tmp_path, None) as service:
        async with connected(service.address, service.first_key) as client:
            await client.remember(*["The kettle whistles."] * 3, "The kettle is red.")
        command = ("search", "kettle", "--memories")
        done = await run(service.address, *command, key=service.first_key)
        for name in ("one", "two", "three"):
            (tmp_path / f"{name}.txt").write_text("The kettle whistles.")
            add = ("import", str(tmp_path / f"{name}.txt"), "--container", "default")
            await run(service.address, *add, key=service.first_key)
        found = await run(service.address, "search", "kettle", key=service.first_key)
    assert " and 2 more of this text" in found.stdout
    lines = done.stdout.splitlines()
    assert sum("The kettle whistles." in line for line in lines) == 1
    assert sum(line.endswith(" and 2 more of this text") for line in lines) == 1


async def test_plaintext_to_a_server_with_tls(tmp_path: Path) -> None:
    async with served(tmp_path, "server") as service:
        words = await fail_in_words(tmp_path, service, ())
    assert "speaks TLS only" in words
    assert "--tls-ca" in words


async def test_tls_to_a_server_without(tmp_path: Path) -> None:
    async with served(tmp_path, None) as service:
        words = await fail_in_words(tmp_path, service, TRUSTED)
    assert "does not speak TLS; leave out --tls-ca" in words


@pytest.mark.parametrize(
    ("certificate", "options", "expected"),
    [
        ("stranger", TRUSTED, f"not signed by an authority in {PEM / 'ca.pem'}"),
        ("server", ("--tls-ca", str(PEM / "clients.pem")), "name the file of the right one"),
        ("current", ("--tls-ca", str(PEM / "clients.pem")), "is for no name at all"),
        ("other-name", ("--tls-ca", str(PEM / "other-name.pem")), "is for memory.example; give"),
        ("lapsed", ("--tls-ca", str(PEM / "lapsed.pem")), "has expired; renew it there"),
    ],
)
async def test_a_server_certificate_that_is_not_accepted(
    tmp_path: Path, certificate: str, options: tuple[str, ...], expected: str
) -> None:
    async with served(tmp_path, certificate) as service:
        assert expected in await fail_in_words(tmp_path, service, options)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (None, "asks for a client certificate; name its files with --tls-cert and --tls-key"),
        ("stranger", f"does not accept the client certificate {PEM / 'stranger.pem'}"),
        ("expired", "expired on 2001-01-01"),
    ],
)
async def test_a_client_certificate_that_is_missing_or_not_accepted(
    tmp_path: Path, client: str | None, expected: str
) -> None:
    options = TRUSTED if client is None else (*TRUSTED, *shown(client))
    async with served(tmp_path, "server", tls_client_ca=PEM / "clients.pem") as service:
        assert expected in await fail_in_words(tmp_path, service, options)


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """Something that listens and is no gRPC server: it says this and hangs up, or stays silent."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    end, _ = listener.accept()
                except OSError:
                    return
                if answer is None:
                    kept.append(end)
                    continue
                with end:
                    end.recv(1024)
                    end.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for end in kept:
                end.close()


@pytest.mark.parametrize("options", [(), TRUSTED])
async def test_something_else_than_a_server(options: tuple[str, ...]) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        done = await run(address, "health", *options)
    assert done.exit_code == 1
    assert "is not a gRPC server; look at --address" in done.stderr


async def test_the_wait_for_an_answer_has_an_end() -> None:
    with answering(None) as address:
        done = await run(address, "health", "--timeout", "0.2")
    assert done.exit_code == 1
    assert "within 0.2 seconds" in done.stderr


def test_an_address_that_may_not_be_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_connection", refuse)
    words = diagnose(Target(parse_address("127.0.0.1:1")), "", 10)
    assert words.startswith("127.0.0.1:1 may not be connected to (Permission denied)")


def test_a_host_without_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    words = diagnose(Target(parse_address("memory.invalid:50051")), "no such host", 10)
    assert words.startswith("the host memory.invalid is not known (Name or service not known)")


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_accepts_and_stays_silent(tls: bool) -> None:
    ca = PEM / "ca.pem"
    trust = ClientTls(read_authorities(ca, "authority"), ca) if tls else None
    with answering(None) as address:
        words = diagnose(Target(parse_address(address), tls=trust), "", 0.2)
    assert "does not answer; try again" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tls-cert", str(PEM / "client.pem"), *TRUSTED), "go together"),
        (shown("client"), "need --tls-ca"),
        (("--tls-ca", str(PEM / "client.key")), "client.key: not PEM"),
        (
            (*TRUSTED, "--tls-cert", str(PEM / "client.pem"), "--tls-key", str(PEM / "server.key")),
            "server.key: not the key of",
        ),
        (("--tls-ca", "nowhere.pem"), "nowhere.pem"),
        (("--timeout", "0"), "--timeout"),
        (("--timeout", "nan"), "--timeout"),
    ],
)
def test_wrong_usage_of_health(options: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(main, ["health", *options])
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.processes
async def test_failures_are_said_once_and_not_by_grpc_too(tmp_path: Path) -> None:
    """In a process of its own, where gRPC has not been used before."""
    async with served(tmp_path, "server") as service:
        command = (sys.executable, "-m", "service", "health", "--address", service.address)
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--tls-ca", str(PEM / "clients.pem")],
            cwd=REPOSITORY,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("Error: the certificate of the server")

"""TLS files that change while the server runs: connections stay, new ones get the new files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from structlog.testing import capture_logs

from service import app
from service.rpc.tls import ServerTls, TlsFiles
from service.settings import Settings
from tests.client import health_stub
from tests.rpc.test_tls import PEM, credentials
from tests.waiting import until

Logs = list[Any]


@pytest.fixture
def logs() -> Iterator[Logs]:
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the server reads: tls.crt, tls.key and ca.crt."""
    made = tmp_path / "tls"
    made.mkdir()
    put(made, "server")
    shutil.copy(PEM / "ca.pem", made / "ca.crt")
    return made


def put(folder: Path, name: str) -> None:
    shutil.copy(PEM / f"{name}.pem", folder / "tls.crt")
    shutil.copy(PEM / f"{name}.key", folder / "tls.key")


@asynccontextmanager
async def serving(folder: Path, **values: object) -> AsyncIterator[app.Service]:
    settings: dict[str, Any] = {
        "data_dir": folder.with_name("data"),
        "listen": "127.0.0.1:0",
        "tls_cert": folder / "tls.crt",
        "tls_key": folder / "tls.key",
        "workers": 0,
        "compute_processes": 0,
        **values,
    }
    async with app.running(Settings(**settings)) as service:
        yield service


async def shown(address: str) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")

    def look() -> bytes:
        with (
            socket.create_connection((host, int(port)), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as encrypted,
        ):
            return encrypted.getpeercert(binary_form=True) or b""

    return await asyncio.to_thread(look)


def der(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((PEM / f"{name}.pem").read_text())


def errors(logs: Logs) -> list[str]:
    return [line["reason"] for line in logs if line["log_level"] == "error"]


def renewals(logs: Logs) -> list[bool]:
    return [line["changed"] for line in logs if line["event"] == "TLS files read again"]


async def test_sighup_shows_new_files_to_new_connections_and_keeps_the_others(
    folder: Path, logs: Logs
) -> None:
    settings = Settings(
        data_dir=folder.with_name("data"),
        listen="127.0.0.1:0",
        tls_cert=folder / "tls.crt",
        tls_key=folder / "tls.key",
        workers=0,
        compute_processes=0,
    )
    started = asyncio.Queue[app.Service]()
    running = asyncio.create_task(app.serve(settings, started.put_nowait))
    address = (await started.get()).address
    async with grpc.aio.secure_channel(address, credentials(None)) as channel:
        health = health_stub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert await shown(address) == der("server")

        put(folder, "client")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: renewals(logs) == [True])
        assert await shown(address) == der("client")
        await health.Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert not watch.done()
        watch.cancel()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(30):
        await running


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (lambda f: shutil.copy(PEM / "client.pem", f / "tls.crt"), "tls.key: not the key"),
        (lambda f: shutil.copy(PEM / "client.key", f / "tls.key"), "tls.key: not the key"),
        (lambda f: os.truncate(f / "tls.crt", 300), "tls.crt: cut off"),
        (lambda f: os.truncate(f / "tls.key", 100), "tls.key: damaged or cut off"),
        (lambda f: os.truncate(f / "tls.key", 0), "tls.key: not PEM"),
        (lambda f: (f / "tls.crt").unlink(), "tls.crt: No such file"),
        (lambda f: shutil.copy(PEM / "server.pem", f / "ca.crt"), "ca.crt: not the certificate"),
    ],
    ids=["certificate only", "key only", "cut certificate", "cut key", "empty", "gone", "no CA"],
)
async def test_files_that_cannot_be_used_are_logged_and_the_old_ones_stay(
    folder: Path, logs: Logs, damage: Callable[[Path], object], wrong: str
) -> None:
    async with serving(folder, tls_client_ca=folder / "ca.crt") as service:
        assert service.tls is not None
        damage(folder)
        service.tls.request_reload()
        await until(lambda: len(errors(logs)) > 0)
        assert wrong in errors(logs)[0]
        assert str(folder) in errors(logs)[0]
        assert await shown(service.address) == der("server")

        put(folder, "client")
        shutil.copy(PEM / "ca.pem", folder / "ca.crt")
        service.tls.request_reload()
        await until(lambda: renewals(logs) == [True])
        assert await shown(service.address) == der("client")


async def test_another_client_authority_lets_in_its_clients_alone(folder: Path, logs: Logs) -> None:
    async def check(client: str) -> bool:
        async with grpc.aio.secure_channel(service.address, credentials(client)) as channel:
            health = health_stub(channel)
            call = health.Check(health_pb2.HealthCheckRequest(), timeout=10)
            code = await call.code()
            assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
            return code is grpc.StatusCode.OK

    async with serving(folder, tls_client_ca=folder / "ca.crt") as service:
        assert service.tls is not None
        assert (await check("client"), await check("current")) == (True, False)
        shutil.copy(PEM / "clients.pem", folder / "ca.crt")
        service.tls.request_reload()
        await until(lambda: renewals(logs) == [True])
        assert (await check("client"), await check("current")) == (False, True)


@asynccontextmanager
async def watching(files: TlsFiles) -> AsyncIterator[str]:
    """A server with these files, which nobody tells that they have changed; its address."""
    tls = ServerTls(files, poll_seconds=0.01)
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", tls.credentials())
    await server.start()
    watch = asyncio.create_task(tls.watch())
    yield f"127.0.0.1:{port}"
    watch.cancel()
    await server.stop(None)


async def test_files_behind_links_are_found_changed_when_a_link_is(
    tmp_path: Path, logs: Logs
) -> None:
    """As Kubernetes renews a mounted secret: a link to the folder of all files is replaced."""
    for version, name in (("..1", "server"), ("..2", "client")):
        (tmp_path / version).mkdir()
        put(tmp_path / version, name)
    (tmp_path / "..data").symlink_to("..1")
    for file in ("tls.crt", "tls.key"):
        (tmp_path / file).symlink_to(f"..data/{file}")
    async with watching(TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")) as address:
        assert await shown(address) == der("server")
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await until(lambda: renewals(logs) == [True])
        assert await shown(address) == der("client")
    assert errors(logs) == []


async def test_what_is_wrong_is_logged_once_until_it_changes(folder: Path, logs: Logs) -> None:
    files = TlsFiles(folder / "tls.crt", folder / "tls.key")
    looks = 0

    class Counted(TlsFiles):
        def signature(self) -> Any:
            nonlocal looks
            looks += 1
            return super().signature()

    async with watching(Counted(files.certificate, files.private_key)) as address:
        shutil.copy(PEM / "client.pem", folder / "tls.crt")
        await until(lambda: len(errors(logs)) > 0)
        before = looks
        await until(lambda: looks >= before + 5)
        assert len(errors(logs)) == 1
        shutil.copy(PEM / "client.key", folder / "tls.key")
        await until(lambda: renewals(logs) == [True])
        assert await shown(address) == der("client")


async def test_a_certificate_that_has_expired_is_said_and_served(folder: Path, logs: Logs) -> None:
    put(folder, "expired")
    async with serving(folder) as service:
        assert await shown(service.address) == der("expired")
        assert any("expired on 2001-01-01" in line.get("reason", "") for line in logs)


async def test_a_pipe_is_read_at_the_start_and_not_waited_for_again(
    folder: Path, logs: Logs
) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    feeding = asyncio.create_task(
        asyncio.to_thread(pipe.write_bytes, (PEM / "server.key").read_bytes())
    )
    opened = await asyncio.to_thread(ServerTls, TlsFiles(folder / "tls.crt", pipe))
    await feeding
    watch = asyncio.create_task(opened.watch())
    opened.request_reload()
    await until(lambda: len(errors(logs)) > 0)
    watch.cancel()
    assert "not a regular file" in errors(logs)[0]

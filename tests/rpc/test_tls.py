"""TLS with certificates of the test's own: an authority, its server and client, a stranger."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1.containers_pb2_grpc import ContainersStub
from service.app import running
from service.cli import main
from service.settings import Settings
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes

PEM = Path(__file__).parent / "tls"


def credentials(client: str | None) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        (PEM / "ca.pem").read_bytes(),
        (PEM / f"{client}.key").read_bytes() if client else None,
        (PEM / f"{client}.pem").read_bytes() if client else None,
    )


def settings(folder: Path, *, client_ca: bool) -> Settings:
    return Settings(
        data_dir=folder,
        listen="127.0.0.1:0",
        tls_cert=PEM / "server.pem",
        tls_key=PEM / "server.key",
        tls_client_ca=PEM / "ca.pem" if client_ca else None,
    )


async def list_containers(address: str, key: str, client: str | None) -> int:
    async with grpc.aio.secure_channel(address, credentials(client)) as channel:
        answer = await ContainersStub(channel).ListContainers(
            c.ListContainersRequest(),
            metadata=(("authorization", f"Bearer {key}"),),
            timeout=HANG_SECONDS,
        )
        return len(answer.containers)


async def test_calls_are_answered_over_tls_and_only_over_tls(tmp_path: Path) -> None:
    async with running(settings(tmp_path / "data", client_ca=False)) as service:
        assert service.first_key is not None
        assert await list_containers(service.address, service.first_key, None) == 0
        async with grpc.aio.insecure_channel(service.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ContainersStub(channel).ListContainers(
                    c.ListContainersRequest(), timeout=HANG_SECONDS
                )
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_with_a_client_authority_only_its_clients_are_answered(tmp_path: Path) -> None:
    async with running(settings(tmp_path / "data", client_ca=True)) as service:
        assert service.first_key is not None
        assert await list_containers(service.address, service.first_key, "client") == 0
        for other in (None, "stranger"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await list_containers(service.address, service.first_key, other)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_command_line_trusts_the_authority_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("A note.")
    options = ["--tls-ca", str(PEM / "ca.pem"), "--container", "notes"]
    async with running(settings(tmp_path / "data", client_ca=False)) as service:
        command = ["import", str(tmp_path / "note.txt"), "--address", service.address, *options]
        env = {"PALIMPSEST_KEY": service.first_key or ""}
        done = await asyncio.to_thread(CliRunner().invoke, main, command, env=env)
    assert done.exit_code == 0, done.output
    assert "1 new, 0 changed, 0 unchanged, 0 failed" in done.stdout

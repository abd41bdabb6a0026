"""The whole service inside a test's own loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from palimpsest.v1 import documents_pb2, documents_pb2_grpc
from service import app
from service.rpc.server import BindError
from service.settings import Settings
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.processes


def settings(folder: Path, **values: object) -> Settings:
    given = {"data_dir": folder / "data", "listen": f"unix:{folder}/socket", **values}
    return Settings(**given)  # type: ignore[arg-type]


async def upsert(address: str, key: str | None) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = documents_pb2_grpc.DocumentsStub(channel)
        answer = await stub.UpsertDocument(
            documents_pb2.UpsertDocumentRequest(content="text"),
            metadata=() if key is None else (("authorization", f"Bearer {key}"),),
        )
        return answer.receipt.id


async def test_a_fresh_service_makes_its_first_key_once(tmp_path: Path) -> None:
    async with app.running(settings(tmp_path)) as service:
        assert service.first_key is not None
        kept = tmp_path / "data" / "first-key"
        assert kept.read_text() == service.first_key + "\n"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert (await upsert(service.address, service.first_key)).startswith("doc_")
    async with app.running(settings(tmp_path)) as service:
        assert service.first_key is None
        assert await upsert(service.address, kept.read_text().strip())


async def test_without_keys_everyone_is_the_default_tenant(tmp_path: Path) -> None:
    async with app.running(settings(tmp_path, no_auth=True)) as service:
        assert service.first_key is None
        assert await upsert(service.address, None)


async def test_port_zero_takes_a_free_port(tmp_path: Path) -> None:
    async with app.running(settings(tmp_path, listen="127.0.0.1:0")) as service:
        assert int(service.address.rpartition(":")[2]) > 0
        assert await upsert(service.address, service.first_key)


async def test_a_taken_address_is_refused(tmp_path: Path) -> None:
    async with app.running(settings(tmp_path)):
        with pytest.raises(BindError):
            async with app.running(settings(tmp_path)):
                pytest.fail("two servers on one address")


async def test_a_start_that_could_not_listen_leaves_the_first_key_to_the_next(
    tmp_path: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BindError):
            async with app.running(settings(tmp_path, listen=listen)):
                pytest.fail("it listens on an address of another")
    assert not (tmp_path / "data" / "first-key").exists()
    async with app.running(settings(tmp_path)) as service:
        assert service.first_key is not None


async def test_a_first_key_that_cannot_be_kept_is_none(tmp_path: Path) -> None:
    kept, new = (tmp_path / "data" / name for name in ("first-key", "first-key.new"))
    async with app.running(settings(tmp_path)) as service:
        secret = service.first_key
    # As a process leaves it that ends between the key's commit and its last step.
    kept.rename(new)
    async with app.running(settings(tmp_path)) as service:
        assert service.first_key is None
        assert kept.read_text().strip() == secret
        assert await upsert(service.address, secret)
    assert not new.exists()


async def test_a_signal_drains_and_a_second_ends_the_grace(tmp_path: Path) -> None:
    ready = asyncio.Event()
    found: list[app.Service] = []

    def announce(service: app.Service) -> None:
        found.append(service)
        ready.set()

    serving = asyncio.create_task(app.serve(settings(tmp_path, drain_grace=600), announce))
    await ready.wait()
    assert await upsert(found[0].address, found[0].first_key)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(HANG_SECONDS):
        await serving


async def test_calls_that_arrive_as_the_service_stops_are_told_so(tmp_path: Path) -> None:
    running = AsyncExitStack()
    service = await running.enter_async_context(app.running(settings(tmp_path, no_auth=True)))
    async with grpc.aio.insecure_channel(service.address) as channel:
        stub = documents_pb2_grpc.DocumentsStub(channel)
        request = documents_pb2.UpsertDocumentRequest(content="text", custom_id="one")
        await stub.UpsertDocument(request)

        async def call() -> str:
            try:
                await stub.UpsertDocument(request)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        calls = [asyncio.create_task(call()) for _ in range(500)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        stopping = asyncio.create_task(running.aclose())
        assert set(await asyncio.gather(*calls)) <= {"OK", "UNAVAILABLE"}
        await stopping

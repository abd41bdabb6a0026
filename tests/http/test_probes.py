"""What probes hear while the server starts, serves and stops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.rpc.server import Server
from tests.gates import held
from tests.http.wire import calling
from tests.inprocess import ManualClock, running_service
from tests.waiting import until

FORGET = "/v1/memories:forgetMany"


async def probed(address: str) -> tuple[int, int]:
    """The statuses of /healthz and /readyz."""
    async with calling(address) as caller:
        return (
            (await caller.call("GET", "/healthz")).status,
            (await caller.call("GET", "/readyz")).status,
        )


async def test_a_server_that_starts_or_stops_lives_and_is_not_ready(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"unix:{directory / 'http'}"
    starting: list[tuple[int, int]] = []
    serving = Server.serving

    async def probe_first(self: Server) -> None:
        starting.append(await probed(address))
        await serving(self)

    monkeypatch.setattr(Server, "serving", probe_first)
    async with running_service(directory, clock, http=address) as service:
        assert starting == [(200, 503)]
        assert await probed(address) == (200, 200)
        async with calling(address, service.create_key()) as caller:
            memory = {"content": "x", "metadata": {"kind": "draft"}}
            made = await caller.call("POST", "/v1/memories", {"memories": [memory]})
            assert made.status == 200
            drafts = {"filter": {"condition": {"key": "kind", "equalsString": "draft"}}}
            with held() as gate:
                held_up = asyncio.create_task(caller.call("POST", FORGET, drafts))
                await gate.wait()
                stopping = asyncio.create_task(service.server.drain(60))
                await until(lambda: not service.server.is_serving)
                assert await probed(address) == (200, 503)
                gate.go.set()
                assert (await held_up).status == 200
            await stopping

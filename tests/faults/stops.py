"""SIGTERM under load: every call is finished or refused, and a second signal ends the wait."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from palimpsest.v1 import documents_pb2 as d
from tests.faults.load import Line, Load, line
from tests.harness import Server, start_server
from tests.tally import Tally
from tests.wire import METHODS

GRACE = 10.0
"""The default of `--drain-grace`."""

MARGIN = 5.0
"""Seconds that leaving may take beside the grace, on a machine that has others to serve."""


async def stop_rounds(data_dir: Path, rounds: int, seed: int, tally: Tally) -> None:
    """So many servers on one data directory, each stopped under load."""
    chance = random.Random(seed)
    load = Load(seed)
    for number in range(1, rounds + 1):
        with tally.collecting(f"seed {seed}, stop {number}"):
            await _stop_under_load(data_dir, load, chance.uniform(0.1, 1.0))
        tally.faults += 1
        tally.operations += load.take_acknowledged()
        tally.round_done()
        if tally.findings:
            break


async def _stop_under_load(data_dir: Path, load: Load, after: float) -> None:
    server = start_server(data_dir)
    try:
        async with line(server) as connection:
            watched = d.UpsertDocumentRequest(content="watched", custom_id="watched")
            await connection.ask(watched)
            watching = [asyncio.create_task(_watch(connection)) for _ in range(4)]
            stopping = asyncio.create_task(_stop_after(server, after))
            await load.run(server)
            refusals = load.take_refusals()
            assert refusals.keys() <= {"UNAVAILABLE SHUTTING_DOWN", "UNAVAILABLE"}, refusals
            assert await stopping == 0, "the exit code of an orderly end"
            ends = await asyncio.gather(*watching)
            assert set(ends) == {"UNAVAILABLE"}, ends
    finally:
        server.kill()
    server = start_server(data_dir)
    try:
        await load.judge(server, refused_did_nothing=True)
        await load.settle(server)
    finally:
        server.kill()


async def _stop_after(server: Server, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return await stopped(server, GRACE)


async def stopped(server: Server, grace: float, signals: int = 1) -> int:
    """Sends so many SIGTERMs; the exit code, which must be there in time."""
    for number in range(signals):
        if number:
            await _refusing(server)
        server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    code = await asyncio.to_thread(server.process.wait, grace + MARGIN)
    assert time.monotonic() - began < grace + MARGIN
    return code


async def _refusing(server: Server) -> None:
    """Returns when the server has heard the first signal."""
    deadline = time.monotonic() + MARGIN
    while b"stopping" not in server.log.read_bytes():
        assert time.monotonic() < deadline, "the signal was not heard"
        await asyncio.sleep(0.01)


async def _watch(connection: Line) -> str:
    """The code with which a watch ends."""
    path, answer = METHODS[d.WatchDocumentRequest.DESCRIPTOR.full_name]
    call = connection.channel.unary_stream(path, response_deserializer=answer.FromString)
    metadata = (("authorization", f"Bearer {connection.key}"),)
    request = d.WatchDocumentRequest(id="watched").SerializeToString()
    try:
        async for _ in call(request, metadata=metadata):
            pass
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@asynccontextmanager
async def lasting_call(connection: Line) -> AsyncIterator[asyncio.Future[str]]:
    """A call that is in progress until the server ends it: its request never comes.

    The future is the code with which it ended.
    """
    begun = asyncio.Event()

    async def never() -> AsyncIterator[bytes]:
        begun.set()
        await asyncio.Event().wait()
        yield b""

    path, _ = METHODS[d.GetDocumentRequest.DESCRIPTOR.full_name]
    metadata = (("authorization", f"Bearer {connection.key}"),)
    call = connection.channel.stream_unary(path)(never(), metadata=metadata)

    async def end() -> str:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    ending = asyncio.create_task(end())
    await begun.wait()
    # A call after it on the connection has an answer: so the server has seen it.
    await connection.send(d.GetDocumentRequest(id="nothing"))
    try:
        yield ending
    finally:
        call.cancel()
        await asyncio.wait([ending])

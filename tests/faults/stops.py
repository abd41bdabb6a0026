"""SIGTERM under load: every call is finished or refused, and a second signal ends the wait."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from pathlib import Path

import grpc
from google.protobuf.message import Message

from palimpsest.v1 import changes_pb2 as ch
from palimpsest.v1 import documents_pb2 as d
from tests.faults.load import Line, Load, line
from tests.harness import Server, start_server
from tests.tally import Tally
from tests.waiting import HANG_SECONDS
from tests.wire import METHODS

WAYS = ((10, 1), (0, 1), (600, 2))
"""Seconds of grace, and how many signals are sent: to end in order, at once, and in a hurry."""

MAX_SENT = 400
SENDING_SECONDS = 0.001
"""Between two calls of who sends without waiting for answers."""


async def stop_rounds(data_dir: Path, rounds: int, seed: int, tally: Tally) -> None:
    """So many servers on one data directory, each stopped under load."""
    chance = random.Random(seed)
    load = Load(seed)
    for number in range(1, rounds + 1):
        with tally.collecting(f"seed {seed}, stop {number}"):
            grace, signals = WAYS[(number - 1) % len(WAYS)]
            await _stop_under_load(data_dir, load, chance.uniform(0.1, 0.7), grace, signals)
        load.suffered(tally)
        if tally.findings:
            break


async def _stop_under_load(
    data_dir: Path, load: Load, after: float, grace: int, signals: int
) -> None:
    server = start_server(data_dir, "--drain-grace", str(grace))
    try:
        async with line(server) as connection:
            watched = d.UpsertDocumentRequest(content="watched", custom_id="watched")
            await connection.ask(watched)
            streams = [d.WatchDocumentRequest(id="watched"), ch.WatchChangesRequest()] * 4
            watching = [asyncio.create_task(_watch(connection, each)) for each in streams]
            stopping = asyncio.create_task(_stop_after(server, after, grace, signals))
            await load.run(server)
            refusals = load.take_refusals()
            assert refusals.keys() <= {"UNAVAILABLE SHUTTING_DOWN", "UNAVAILABLE"}, refusals
            assert await stopping == 0, "the exit code of an orderly end"
            ends = await asyncio.gather(*watching)
            # A watch of a document that is done has ended by itself.
            assert set(ends[::2]) <= {"UNAVAILABLE", "OK"}, ends
            assert set(ends[1::2]) == {"UNAVAILABLE"}, ends
    finally:
        server.kill()
    server = start_server(data_dir)
    try:
        # Without grace a call may be cut off whose effect is already there, whole.
        await load.judge(server, refused_did_nothing=grace > 0 and signals == 1)
        await load.settle(server)
    finally:
        server.kill()


async def stop_while_callers_come_again(data_dir: Path, callers: int) -> Counter[str]:
    """What callers are told from the signal to the end: some who, refused, ask again at
    once, and one who goes on sending without waiting for answers."""
    server = start_server(data_dir, "--drain-grace", "10")
    told: Counter[str] = Counter()
    ending = asyncio.Event()
    ended = asyncio.Event()

    async def write(connection: Line, name: str) -> None:
        answer = await connection.send(d.UpsertDocumentRequest(content="text", custom_id=name))
        if ending.is_set():
            told[answer.outcome] += 1

    async def caller(connection: Line, number: int) -> None:
        while not ended.is_set():
            await write(connection, f"one{number}")

    async def sender(connection: Line, tasks: asyncio.TaskGroup) -> None:
        number, sent = 0, set[asyncio.Task[None]]()
        while not ended.is_set():
            # On a busy machine more would come together than one key may have in progress.
            if len(sent) < MAX_SENT:
                task = tasks.create_task(write(connection, f"more{(number := number + 1) % 50}"))
                sent.add(task)
                task.add_done_callback(sent.discard)
            await asyncio.sleep(SENDING_SECONDS)

    try:
        async with (
            line(server) as first,
            line(server) as second,
            line(server) as third,
            asyncio.TaskGroup() as group,
        ):
            for number in range(callers):
                group.create_task(caller((first, second)[number % 2], number))
            group.create_task(sender(third, group))
            await first.ask(d.UpsertDocumentRequest(content="text", custom_id="one"))
            ending.set()
            assert await stopped(server, 10) == 0
            ended.set()
        return told
    finally:
        server.kill()


async def _stop_after(server: Server, seconds: float, grace: int, signals: int) -> int:
    await asyncio.sleep(seconds)
    return await stopped(server, grace if signals == 1 else 0, signals)


async def stopped(server: Server, grace: float, signals: int = 1) -> int:
    """Sends so many SIGTERMs; the exit code, in less than a longer grace would take."""
    said = server.log.stat().st_size
    for number in range(signals):
        if number:
            await _heard(server.log, said)
        server.process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(server.process.wait, grace + HANG_SECONDS)


async def _heard(log: Path, said: int) -> None:
    """Returns when the log tells of a signal, after the bytes that were in it before."""
    deadline = time.monotonic() + HANG_SECONDS
    while not _says_stopping(log, said):
        assert time.monotonic() < deadline, "the signal was not heard"
        await asyncio.sleep(0.01)


def _says_stopping(log: Path, said: int) -> bool:
    return b"stopping" in log.read_bytes()[said:]


async def _watch(connection: Line, request: Message) -> str:
    """The code with which a stream ends."""
    path, answer = METHODS[request.DESCRIPTOR.full_name]
    call: grpc.aio.UnaryStreamMultiCallable[bytes, object] = connection.channel.unary_stream(
        path, response_deserializer=answer.FromString
    )
    metadata = (("authorization", f"Bearer {connection.key}"),)
    try:
        async for _ in call(request.SerializeToString(), metadata=metadata):
            pass
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"

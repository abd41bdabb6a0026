"""A client process: makes its share of the calls of a race, at the given moment.

Reads pickled jobs from its standard input and writes what came of them to its
standard output. A job is a key and, for each caller, the calls it makes one after
the other; the callers start together when the line after the job has been read.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO, TypeAlias

import grpc

from tests.wire import Answer, send

Shot: TypeAlias = tuple[str, bytes, float]
"""Path, request, and the seconds to wait before it is sent."""

Job: TypeAlias = tuple[str, Sequence[Sequence[Shot]]]

CHANNELS = 4
READY = b"r"
GO = b"g"


async def _caller(channel: grpc.aio.Channel, key: str, script: Sequence[Shot]) -> list[Answer]:
    answers = []
    for path, body, delay in script:
        if delay:
            await asyncio.sleep(delay)
        answers.append(await send(channel, key, path, body))
    return answers


async def _serve(address: str, jobs: BinaryIO, results: BinaryIO) -> None:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(CHANNELS)]
    for channel in channels:
        await channel.channel_ready()
    while True:
        job: Job | None = pickle.load(jobs)
        if job is None:
            break
        key, scripts = job
        results.write(READY)
        results.flush()
        if jobs.read(1) != GO:
            break
        answers: list[Any] = await asyncio.gather(
            *(_caller(channels[i % CHANNELS], key, script) for i, script in enumerate(scripts))
        )
        pickle.dump(answers, results)
        results.flush()
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer))

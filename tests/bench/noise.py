"""A noisy tenant: `python -m tests.bench.noise ADDRESS KEY` calls as fast as it can.

64 connections with one call at a time on each: a third writes documents one by one, a third
searches, and the rest imports in batches. Runs until its standard input ends.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator

import grpc
import uvloop

from tests.bench import data, prose
from tests.bench.load import Call, connect

CONNECTIONS = 64
CONTAINER = "noise"


def _kinds(address: str, key: str) -> Iterator[tuple[Call, list[bytes]]]:
    writes = data.new_documents(500)
    imports = [request for _, request in data.batches(5000, CONTAINER)]
    searches = prose.document_searches(500, data.FILLED)
    for number in range(CONNECTIONS):
        target = connect(address, key)
        if number % 3 == 0:
            yield target.call("Documents/UpsertDocument"), writes
        elif number % 3 == 1:
            yield target.call("Documents/SearchDocuments"), searches
        else:
            yield target.call("Documents/BatchUpsertDocuments"), imports


async def _call_forever(call: Call, requests: list[bytes]) -> None:
    for request in itertools.cycle(requests):
        try:
            await call(request)
        except grpc.aio.AioRpcError as error:
            # Who is told to come back later does so at once.
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise


async def main(address: str, key: str) -> None:
    calling = [
        asyncio.create_task(_call_forever(call, requests))
        for call, requests in _kinds(address, key)
    ]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    done, _ = await asyncio.wait([ended, *calling], return_when=asyncio.FIRST_COMPLETED)
    for task in calling:
        task.cancel()
    for task in done:
        task.result()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))

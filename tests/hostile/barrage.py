"""Random and broken bytes as messages of every method, many calls at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import grpc
from google.protobuf.descriptor import MethodDescriptor

from tests.hostile import contract, wire
from tests.hostile.answers import PERMITTED, ask
from tests.hostile.contract import FREE_TEXT, Samples, spelled
from tests.tally import Tally

AT_ONCE = 32


async def throw_bytes(address: str, key: str, seed: int, rounds: int, tally: Tally) -> Counter[str]:
    """Calls every method `rounds` times with bytes of chance; answers how often which code came.

    Findings name what it takes to make the same bytes again.
    """
    codes: Counter[str] = Counter()
    turn = asyncio.Semaphore(AT_ONCE)
    async with grpc.aio.insecure_channel(address) as channel:

        async def one(method: MethodDescriptor, number: int) -> None:
            source = random.Random(f"{seed} {method.full_name} {number}")
            body = wire.garbage(source, valid_bytes(source, method))
            async with turn:
                where = f"{method.name} seed {seed} number {number} {body[:40].hex()}"
                with tally.collecting(where):
                    answer = await ask(channel, method, body, key)
                    codes[answer.code.name] += 1
                    if answer.code not in PERMITTED:
                        tally.findings.append(f"{where}: {answer}")
            tally.operations += 1

        await asyncio.gather(
            *(one(method, n) for n in range(rounds) for method in contract.methods())
        )
    tally.rounds += 1
    return codes


def valid_bytes(source: random.Random, method: MethodDescriptor) -> bytes:
    """A valid request with one field of chance in it."""
    samples = Samples({"id": FREE_TEXT})
    path = source.choice(list(contract.paths(method.input_type)))
    value = samples.value(path[-1])
    if spelled(path).endswith("[0]"):
        value = [value]
    return samples.request(method.input_type, path, value).SerializeToString()

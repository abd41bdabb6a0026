"""One tenant's filters, in the short form of `tests.hostile.neighbours`: no time is measured.

All of a tenant's expensive calls are under way at once; whether another tenant's calls are
answered between them, or after them, says whether they wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from palimpsest.v1 import containers_pb2 as c
from tests.client import Client, connected
from tests.harness import Server, running_server
from tests.hostile import neighbours

MEMORIES = 4_000
CALLS = 24
LIMIT = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("neighbours") / "data") as running:
        yield running


@dataclass(frozen=True)
class Street:
    attacker: Client
    neighbour: Client


@pytest_asyncio.fixture
async def street(server: Server) -> AsyncIterator[Street]:
    key = server.create_key("--tenant", "neighbour")
    async with (
        connected(server.address, server.key) as one,
        connected(server.address, key) as other,
    ):
        request = c.ListContainersRequest()
        if not (await one.containers.ListContainers(request)).containers:
            await neighbours.fill(one, MEMORIES)
        yield Street(one, other)


@pytest.mark.parametrize("name", ["lists", "forgetting", "previews"])
async def test_a_neighbours_calls_are_answered_between(street: Street, name: str) -> None:
    attack, _ = neighbours.ATTACKS[name]
    probes = neighbours.probes(street.neighbour)
    for probe in probes.values():
        await probe()
    attacks = [asyncio.create_task(attack(street.attacker)) for _ in range(CALLS)]
    try:
        async with asyncio.timeout(LIMIT):
            # Since the first was answered, the others are under way.
            await asyncio.wait(attacks, return_when=asyncio.FIRST_COMPLETED)
            for probe in probes.values():
                await probe()
        assert not all(task.done() for task in attacks)
    finally:
        for task in attacks:
            task.cancel()
        await asyncio.gather(*attacks, return_exceptions=True)

"""Mixed load on a server that gets into trouble, and the judgement afterwards."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.faults.container_model import Chain, ContainerModel, State
from tests.harness import Server
from tests.tally import Tally
from tests.waiting import HANG_SECONDS
from tests.wire import Answer, ask, read

MODELS = 15
LARGE_BATCH = 400
"""Documents in a batch of one container: deleting it takes several transactions."""


@dataclass(frozen=True)
class Line:
    """A connection with a key."""

    channel: grpc.aio.Channel
    key: str

    async def send(self, request: Message, seconds: float = HANG_SECONDS) -> Answer:
        return await ask(self.channel, self.key, request, seconds)

    async def ask(self, request: Message) -> Any:
        return read(request, await self.send(request))


@asynccontextmanager
async def line(server: Server) -> AsyncIterator[Line]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(server.address, options=options) as channel:
        yield Line(channel, server.key)


class Load:
    """Callers, each with a model of its own.

    Args:
        seed: Decides what is done, though not how calls of different callers mix.
        padding: Bytes added to every text.
    """

    def __init__(self, seed: int, padding: int = 0) -> None:
        chance = random.Random(seed)
        self.models = [
            ContainerModel(f"model{n}", random.Random(chance.random()), padding=padding)
            for n in range(MODELS)
        ]
        large = random.Random(chance.random())
        self.models.append(ContainerModel("field", large, batch=LARGE_BATCH))
        self.acknowledged = 0
        self._counted = 0
        self.refusals: Counter[str] = Counter()

    async def run(
        self,
        server: Server,
        *,
        stop: asyncio.Event | None = None,
        answered: Callable[[int], None] = lambda count: None,
        connections: int = 1,
    ) -> None:
        """Every caller goes on until it is refused, or until `stop`.

        `answered` is told the number of mutations acknowledged, after each. Callers
        share so many connections, which several servers of one address may share.
        """

        async def caller(model: ContainerModel, connection: Line) -> None:
            while stop is None or not stop.is_set():
                model.pending = model.next()
                answer = await connection.send(model.pending.request)
                if not answer.ok:
                    self.refusals[f"{answer.code} {answer.reason}".strip()] += 1
                    return
                response = read(model.pending.request, answer)
                model.done(model.pending, response, answer.body)
                self.acknowledged += 1
                answered(self.acknowledged)

        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(line(server)) for _ in range(connections)]
            callers = zip(self.models, itertools.cycle(lines), strict=False)
            await asyncio.gather(*(caller(model, connection) for model, connection in callers))

    def suffered(self, tally: Tally) -> None:
        """Counts one more fault, and the mutations acknowledged since the one before."""
        tally.faults += 1
        tally.operations += self.acknowledged - self._counted
        self._counted = self.acknowledged
        tally.round_done()

    def take_refusals(self) -> Counter[str]:
        """Codes and reasons of the refusals since this was asked last."""
        taken, self.refusals = self.refusals, Counter()
        return taken

    async def judge(self, server: Server, *, refused_did_nothing: bool = False) -> None:
        """What was acknowledged is there, and a refused mutation is there wholly or not.

        With `refused_did_nothing` it must not be there.
        """
        async with line(server) as connection:
            for model in self.models:
                await _judge(connection, model, refused_did_nothing)

    async def settle(self, server: Server) -> None:
        """Repeats what was refused, twice, and finds that it was done once."""
        async with line(server) as connection:
            for model in self.models:
                await _settle(connection, model)


async def _judge(connection: Line, model: ContainerModel, refused_did_nothing: bool) -> None:
    found = await look(connection, model.container)
    before = model.state.seen()
    mutation = model.pending
    if mutation is None or (refused_did_nothing and mutation.atomic):
        assert found == before, _differences(model, before, found)
        return
    after = mutation.after.seen()
    if mutation.atomic:
        assert found in (before, after), _differences(model, before, found)
        return
    for name in before.keys() | after.keys() | found.keys():
        allowed = (before.get(name), after.get(name))
        assert found.get(name) in allowed, _differences(model, before, found)


async def _settle(connection: Line, model: ContainerModel) -> None:
    if model.last is not None:
        request, body = model.last
        answer = await connection.send(request)
        assert _receipt(request, answer.body) == _receipt(request, body), "another receipt"
    mutation = model.pending
    if mutation is None:
        return
    first = await connection.send(mutation.request)
    second = await connection.send(mutation.request)
    assert read(mutation.request, first) == read(mutation.request, second), "two receipts"
    model.done(mutation, read(mutation.request, first), first.body)
    found = await look(connection, model.container)
    assert found == model.state.seen(), _differences(model, model.state.seen(), found)


def _receipt(request: Message, body: bytes) -> object:
    """What a repetition must answer again: UpdateMemory's text may be deleted by now."""
    response = read(request, Answer("OK", body, 0, 0))
    return response.receipt if isinstance(request, m.UpdateMemoryRequest) else response


async def look(connection: Line, container: str) -> dict[str, object]:
    """What is in a container, as `State.seen` has it."""
    state = State()
    documents = d.ListDocumentsRequest(
        container_tags=[container], include_content=True, page_size=1000
    )
    while True:
        page = await connection.ask(documents)
        for document in page.documents:
            assert document.custom_id not in state.documents, f"twice: {document.custom_id}"
            state.documents[document.custom_id] = document.content
        if not page.next_page_token:
            break
        documents.page_token = page.next_page_token
    memories = m.ListMemoriesRequest(
        container_tags=[container], include_forgotten=True, include_history=True, page_size=1000
    )
    versions: dict[str, list[m.Memory]] = {}
    while True:
        page = await connection.ask(memories)
        for memory in page.memories:
            versions.setdefault(memory.root_memory_id, []).append(memory)
        if not page.next_page_token:
            break
        memories.page_token = page.next_page_token
    for chain in versions.values():
        read_chain(state, sorted(chain, key=lambda memory: memory.version))
    return state.seen()


def read_chain(state: State, chain: list[m.Memory]) -> None:
    """Adds a memory's versions, oldest first, found to be one unbroken chain."""
    parents = ["", *(version.id for version in chain)]
    for number, version in enumerate(chain, 1):
        assert version.version == number, f"a gap or fork: {[v.version for v in chain]}"
        assert version.parent_memory_id == parents[number - 1]
        assert version.is_latest == (number == len(chain))
    first = chain[0].content
    assert first not in state.chains, f"made twice: {first}"
    forgotten_by = "something" if chain[-1].forgotten else ""
    state.chains[first] = Chain([version.content for version in chain], forgotten_by)


def _differences(
    model: ContainerModel, expected: dict[str, object], found: dict[str, object]
) -> str:
    differing = {
        name: (expected.get(name), found.get(name))
        for name in expected.keys() | found.keys()
        if expected.get(name) != found.get(name)
    }
    under_way = type(model.pending.request).__name__ if model.pending else "nothing"
    shown = dict(list(differing.items())[:5])
    return f"{model.container}, {under_way} under way: (expected, found) {shown}"

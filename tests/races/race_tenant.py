"""A tenant of its own for one race, with the callers that race in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.message import Message

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.harness import Server
from tests.races.callers import Callers, Request
from tests.waiting import HANG_SECONDS
from tests.wire import METHODS, Answer

CALLERS = 64
TAG = "race_tenant"


@dataclass(frozen=True)
class RaceTenant:
    """Sends what prepares and judges a race itself, and lets the callers do the race."""

    channel: grpc.Channel
    callers: Callers
    key: str

    def ask(self, request: Message) -> Any:
        """The response to a request that must not be refused."""
        path, answer = METHODS[request.DESCRIPTOR.full_name]
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        metadata = (("authorization", f"Bearer {self.key}"),)
        return answer.FromString(
            call(request.SerializeToString(), timeout=HANG_SECONDS, metadata=metadata)
        )

    def race(self, messages: Sequence[Message]) -> list[Answer]:
        return self.callers.race(self.key, messages)

    def play(self, scripts: Sequence[Sequence[Request]]) -> list[list[Answer]]:
        return self.callers.play(self.key, scripts)

    def remember(self, *contents: str, **fields: Any) -> list[m.MemoryReceipt]:
        memories = [m.NewMemory(content=content, **fields) for content in contents]
        request = m.CreateMemoriesRequest(container_tag=TAG, memories=memories)
        return list(self.ask(request).receipts)

    def revision(self) -> int:
        """The tenant's."""
        return int(self.ask(d.ListDocumentsRequest(page_size=1)).revision)

    def documents(self) -> list[d.Document]:
        """Every document of the tenant with its content, of which no two have one custom id."""
        found = self.every_document()
        named = [document.custom_id or document.id for document in found]
        assert len(set(named)) == len(named), "a custom id twice"
        return found

    def every_document(self) -> list[d.Document]:
        """Every document of the tenant with its content."""
        found: list[d.Document] = []
        request = d.ListDocumentsRequest(include_content=True, page_size=1000)
        while True:
            page = self.ask(request)
            found.extend(page.documents)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def memories(self) -> list[m.Memory]:
        """Every version of every memory of the race_tenant."""
        request = m.ListMemoriesRequest(
            container_tags=[TAG], include_forgotten=True, include_history=True, page_size=1000
        )
        page = self.ask(request)
        assert not page.next_page_token
        return list(page.memories)

    def chain(self, memory_id: str) -> list[m.Memory]:
        """A memory's versions, oldest first, found to be one unbroken chain."""
        answer = self.ask(m.ListMemoryVersionsRequest(container_tag=TAG, id=memory_id))
        versions = list(reversed(answer.memories))
        assert [v.version for v in versions] == list(range(1, len(versions) + 1)), "gap or fork"
        for older, newer in pairwise(versions):
            assert newer.parent_memory_id == older.id, "a parent that is not the version before"
        assert [v.is_latest for v in versions] == [False] * (len(versions) - 1) + [True]
        return versions

    def counted(self) -> tuple[int, int]:
        """Documents and memories of the race_tenant, as its container's counts say."""
        for container in self.ask(c.ListContainersRequest()).containers:
            if container.container_tag == TAG:
                return container.document_count, container.memory_count
        return 0, 0


@contextmanager
def race_tenant(server: Server, callers: Callers) -> Iterator[RaceTenant]:
    """A new tenant, empty."""
    key = server.add_key(f"race-{uuid4()}")
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        yield RaceTenant(channel, callers, key)


def outcomes(answers: Sequence[Answer]) -> Counter[str]:
    """How often calls ended in which way."""
    return Counter(answer.outcome for answer in answers)


def only(answers: Sequence[Answer], *allowed: str) -> None:
    """Every call ended in one of these ways."""
    strange = {a.outcome for a in answers} - set(allowed)
    assert not strange, f"{outcomes(answers)}: {strange} is none of {allowed}"

"""kill -9 under load: what was acknowledged is there, nothing is half there."""

from __future__ import annotations

import asyncio
import random
import uuid
from pathlib import Path

import grpc

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from palimpsest.v1.memories_pb2_grpc import MemoriesStub
from tests.harness import Server, run_cli, start_server

ROUNDS = 5
WORKERS = 12


class Load:
    """Workers that write until the server dies, and what they were told."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.attempted_notes: dict[str, int] = {}
        self.kept_notes: dict[str, int] = {}
        self.kept_memories: dict[str, str] = {}
        self.open_requests: dict[str, m.CreateMemoriesRequest] = {}

    async def run(self, server: Server, kill_after: int) -> None:
        """Kill the server after so many answers; return when all workers noticed."""
        goal = self.acknowledged + kill_after
        metadata = (("authorization", f"Bearer {server.key}"),)
        async with grpc.aio.insecure_channel(server.address) as channel:
            documents, memories = DocumentsStub(channel), MemoriesStub(channel)

            async def note(name: str) -> None:
                number = self.attempted_notes.get(name, 0)
                while True:
                    number += 1
                    self.attempted_notes[name] = number
                    request = d.UpsertDocumentRequest(content=f"{name} {number}", custom_id=name)
                    await documents.UpsertDocument(request, metadata=metadata)
                    self.kept_notes[name] = number
                    self._count(server, goal)

            async def remember(name: str) -> None:
                while True:
                    request = m.CreateMemoriesRequest(
                        container_tag=name,
                        memories=[m.NewMemory(content=str(uuid.uuid4()))],
                        request_id=str(uuid.uuid4()),
                    )
                    self.open_requests[name] = request
                    answer = await memories.CreateMemories(request, metadata=metadata)
                    del self.open_requests[name]
                    self.kept_memories[answer.receipts[0].id] = name
                    self._count(server, goal)

            tasks = [note(f"n{i}") for i in range(WORKERS)]
            tasks += [remember(f"m{i}") for i in range(WORKERS)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, grpc.RpcError) for result in results), results

    def _count(self, server: Server, goal: int) -> None:
        self.acknowledged += 1
        if self.acknowledged == goal:
            server.kill()

    async def verify(self, server: Server) -> None:
        metadata = (("authorization", f"Bearer {server.key}"),)
        async with grpc.aio.insecure_channel(server.address) as channel:
            documents, memories = DocumentsStub(channel), MemoriesStub(channel)
            for name, number in self.kept_notes.items():
                got = await documents.GetDocument(d.GetDocumentRequest(id=name), metadata=metadata)
                found = int(got.document.content.split()[1])
                # The write that was under way may have made it, or not.
                assert number <= found <= self.attempted_notes[name]
            for memory_id, container in self.kept_memories.items():
                request = m.GetMemoryRequest(container_tag=container, id=memory_id)
                await memories.GetMemory(request, metadata=metadata)
            for container, pending in self.open_requests.items():
                first, second = [
                    await memories.CreateMemories(pending, metadata=metadata) for _ in range(2)
                ]
                assert first == second
                listed = await memories.ListMemories(
                    m.ListMemoriesRequest(container_tags=[container], page_size=1000),
                    metadata=metadata,
                )
                contents = [memory.content for memory in listed.memories]
                assert contents.count(pending.memories[0].content) == 1
                self.kept_memories[first.receipts[0].id] = container
        self.open_requests.clear()


async def test_every_acknowledged_write_survives_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20)
    load = Load()
    for _ in range(ROUNDS):
        server = start_server(tmp_path / "data")
        try:
            await load.verify(server)
            await load.run(server, kill_after=chance.randrange(50, 500))
        finally:
            server.kill()
        done = run_cli(tmp_path / "data", "check")
        assert done.returncode == 0, done.stdout + done.stderr
    server = start_server(tmp_path / "data")
    try:
        await load.verify(server)
    finally:
        assert server.stop() == 0
    assert load.acknowledged > 0

"""A server whose index memory is too small for a container: slower, and otherwise the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.v1.documents_pb2 import SearchDocumentsRequest
from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, NewMemory, SearchMemoriesRequest
from service.processes import search_worker
from tests.client import Client, connected, struct
from tests.finding.children import children_of
from tests.harness import running_server
from tests.waiting import until

pytestmark = pytest.mark.processes

MEMORIES = 1500
SMALL = "1000000"
CONTAINER = "user:4711"
QUESTIONS = ("which note is about violins", "Note 77", "what did Ann say of lakes")
WORDS = ("violins", "lakes", "trains", "soup", "letters", "maps", "snow")


async def fill(client: Client) -> None:
    for start in range(0, MEMORIES, 100):
        request = CreateMemoriesRequest(container_tag=CONTAINER)
        for number in range(start, start + 100):
            word = WORDS[number % 7]
            text = f"Note {number} is about {word} and {WORDS[number % 5]}, {'long ' * 20}"
            metadata = struct({"word": word})
            request.memories.append(NewMemory(content=text, metadata=metadata))
        await client.memories.CreateMemories(request)
    for number in range(3):
        await client.put(
            f"A page about {WORDS[number]}. " * 40, container_tags=[CONTAINER], wait=True
        )


async def found(client: Client) -> list[tuple[str, float]]:
    """Everything that some searches answer."""
    answers: list[tuple[str, float]] = []
    for question in QUESTIONS:
        asked = SearchMemoriesRequest(query=question, container_tags=[CONTAINER], limit=20)
        hits = (await client.memories.SearchMemories(asked)).hits
        answers += [(hit.memory.id, hit.score) for hit in hits]
        asked.include_chunks = True
        hits = (await client.memories.SearchMemories(asked)).hits
        answers += [(hit.memory.id or hit.chunk.id, hit.score) for hit in hits]
        chunks = SearchDocumentsRequest(query=question, container_tags=[CONTAINER], limit=20)
        answer = await client.documents.SearchDocuments(chunks)
        answers += [(chunk.chunk.id, chunk.score) for hit in answer.hits for chunk in hit.chunks]
    return answers


def _oom_points(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


async def test_a_container_larger_than_the_index_memory_is_searched_alike(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with running_server(directory) as server:
        async with connected(server.address, server.key) as client:
            await fill(client)
            known = await found(client)
            calm = server.log.read_text()
    assert "block by block" not in calm

    with running_server(directory, "--index-memory", SMALL) as server:
        async with connected(server.address, server.key) as client:
            first = await found(client)
            second = await found(client)
            (worker,) = children_of(server.process.pid, search_worker)
            # When memory runs out after all, the server is not what Linux ends.
            # While the worker starts, the server searches by itself.
            await until(lambda: _oom_points(worker) > _oom_points(server.process.pid))
        log = server.log.read_text()

    assert len(known) > 3 * 20
    for answers in (first, second):
        assert [name for name, _ in answers] == [name for name, _ in known]
        assert [score for _, score in answers] == pytest.approx(
            [score for _, score in known], abs=1e-5
        )
    # The server may have answered before its search worker was there.
    assert 1 <= log.count("reads the database block by block") <= 2
    assert CONTAINER not in log

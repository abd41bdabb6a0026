"""ForgetMemories by query: what is previewed is what is forgotten, and can be restored."""

from __future__ import annotations

import uuid

import grpc
import pytest

from palimpsest.v1 import memories_pb2 as m
from tests.client import refused
from tests.finding.lab import Lab


async def forget(lab: Lab, query: str, min_score: float, **fields: object) -> object:
    return await lab.client.memories.ForgetMemories(
        m.ForgetMemoriesRequest(query=query, min_score=min_score, **fields)  # type: ignore[arg-type]
    )


@pytest.fixture
async def stocked(lab: Lab) -> Lab:
    await lab.client.remember(
        *(f"Ann likes quinces {word}" for word in ("raw", "cooked", "baked")),
        "Ben likes walnuts",
        "The weather was fine in spring",
    )
    return lab


async def test_a_preview_names_what_a_call_then_forgets(stocked: Lab) -> None:
    hits = await stocked.memories("Ann quinces", limit=100)
    floor = hits[2].score
    expected = [(hit.memory.id, hit.score) for hit in hits if hit.score >= floor]
    assert len(expected) == 3
    preview = await forget(stocked, "Ann quinces", floor, validate_only=True)
    assert [(match.id, match.score) for match in preview.matches] == expected  # type: ignore[attr-defined]
    assert preview.forgotten_count == 3  # type: ignore[attr-defined]
    assert preview.forget_batch_id == ""  # type: ignore[attr-defined]
    assert len(await stocked.memories("quinces", limit=100)) == 5
    done = await forget(stocked, "Ann quinces", floor, reason="eaten")
    assert done.matches == preview.matches  # type: ignore[attr-defined]
    assert done.forget_batch_id  # type: ignore[attr-defined]
    left = await stocked.contents("Ann quinces", limit=100)
    assert sorted(left) == ["Ben likes walnuts", "The weather was fine in spring"]
    memory = await stocked.client.memory(expected[0][0])
    assert (memory.forgotten, memory.forget_reason) == (True, "eaten")
    restored = await stocked.client.memories.RestoreMemories(
        m.RestoreMemoriesRequest(forget_batch_id=done.forget_batch_id)  # type: ignore[attr-defined]
    )
    assert {receipt.id for receipt in restored.receipts} == {name for name, _ in expected}
    again = await stocked.memories("Ann quinces", limit=100)
    assert [(hit.memory.id, hit.score) for hit in again] == [
        (hit.memory.id, hit.score) for hit in hits
    ]


async def test_more_matches_than_allowed_forget_nothing(stocked: Lab) -> None:
    for only in (False, True):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_MATCHES"):
            await forget(stocked, "Ann quinces", 0.0001, max_forget=2, validate_only=only)
    assert len(await stocked.memories("quinces", limit=100)) == 5
    done = await forget(stocked, "Ann quinces", 0.0001, max_forget=5)
    assert done.forgotten_count == 5  # type: ignore[attr-defined]


async def test_every_memory_of_one_text_is_forgotten(lab: Lab) -> None:
    await lab.client.remember(*["Ann likes quinces"] * 4, "Ben sings")
    done = await forget(lab, "Ann likes quinces", 0.5)
    assert done.forgotten_count == 4  # type: ignore[attr-defined]
    assert await lab.contents("quinces") == ["Ben sings"]


async def test_nothing_that_scores_less_and_nothing_elsewhere_is_forgotten(stocked: Lab) -> None:
    await stocked.client.remember("Ann likes quinces raw", container="other")
    receipt = await stocked.client.put("Ann likes quinces raw and more", wait=True)
    done = await forget(stocked, "zebras in the zoo", 0.9)
    assert (done.forgotten_count, done.forget_batch_id) == (0, "")  # type: ignore[attr-defined]
    await forget(stocked, "Ann quinces raw", 0.0001)
    assert await stocked.contents("quinces") == []
    assert await stocked.contents("quinces", container_tags=["other"]) == ["Ann likes quinces raw"]
    assert (await stocked.client.get(receipt.id)).content
    assert len(await stocked.texts("quinces")) == 1


async def test_a_repetition_answers_the_same_with_scores(stocked: Lab) -> None:
    request_id = str(uuid.uuid4())
    first = await forget(stocked, "Ann quinces", 0.3, request_id=request_id)
    assert first.forgotten_count  # type: ignore[attr-defined]
    assert all(match.score >= 0.3 for match in first.matches)  # type: ignore[attr-defined]
    await stocked.client.remember("Ann likes quinces again")
    assert await forget(stocked, "Ann quinces", 0.3, request_id=request_id) == first
    assert "Ann likes quinces again" in await stocked.contents("quinces")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await forget(stocked, "Ann quinces", 0.4, request_id=request_id)


async def test_what_is_superseded_or_forgotten_is_no_match(stocked: Lab) -> None:
    hits = await stocked.memories("Ann quinces", limit=3)
    await stocked.client.memories.ForgetMemory(m.ForgetMemoryRequest(id=hits[0].memory.id))
    await stocked.client.memories.UpdateMemory(
        m.UpdateMemoryRequest(id=hits[1].memory.id, new_content="gone from the larder")
    )
    done = await forget(stocked, "Ann quinces", 0.3)
    assert [match.id for match in done.matches] == [hits[2].memory.id]  # type: ignore[attr-defined]


async def test_bad_selectors_are_refused(lab: Lab) -> None:
    for bad in (
        m.ForgetMemoriesRequest(query="x"),
        m.ForgetMemoriesRequest(min_score=0.5),
        m.ForgetMemoriesRequest(query="x", min_score=1.5),
        m.ForgetMemoriesRequest(query="x", min_score=0.5, ids=["mem_1"]),
        m.ForgetMemoriesRequest(query="x", min_score=0.5, max_forget=501),
        m.ForgetMemoriesRequest(query="x" * 10_001, min_score=0.5),
        m.ForgetMemoriesRequest(ids=["mem_0000000000000000000000"], min_score=0.5),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await lab.client.memories.ForgetMemories(bad)

"""ForgetMemories by query: what is previewed is what is forgotten, and can be restored."""

from __future__ import annotations

import uuid

import grpc
import pytest

from palimpsest.v1 import memories_pb2 as m
from tests.client import refused
from tests.finding.service_harness import ServiceHarness


async def forget(harness: ServiceHarness, query: str, min_score: float, **fields: object) -> object:
    return await harness.client.memories.ForgetMemories(
        m.ForgetMemoriesRequest(query=query, min_score=min_score, **fields)  # type: ignore[arg-type]
    )


@pytest.fixture
async def stocked(harness: ServiceHarness) -> ServiceHarness:
    await harness.client.remember(
        *(f"Ann likes quinces {word}" for word in ("raw", "cooked", "baked")),
        "Ben likes walnuts",
        "The weather was fine in spring",
    )
    return harness


async def test_a_preview_names_what_a_call_then_forgets(stocked: ServiceHarness) -> None:
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
    assert [(match.id, match.score) for match in done.matches] == expected  # type: ignore[attr-defined]
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


async def test_more_matches_than_allowed_forget_nothing(stocked: ServiceHarness) -> None:
    for only in (False, True):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_MATCHES"):
            await forget(stocked, "Ann quinces", 0.0001, max_forget=2, validate_only=only)
    assert len(await stocked.memories("quinces", limit=100)) == 5
    done = await forget(stocked, "Ann quinces", 0.0001, max_forget=5)
    assert done.forgotten_count == 5  # type: ignore[attr-defined]


async def test_every_memory_of_one_text_is_forgotten(harness: ServiceHarness) -> None:
    await harness.client.remember(*["Ann likes quinces"] * 4, "Ben sings")
    done = await forget(harness, "Ann likes quinces", 0.5)
    assert done.forgotten_count == 4  # type: ignore[attr-defined]
    assert await harness.contents("quinces") == ["Ben sings"]


async def test_a_preview_says_which_terms_were_found(stocked: ServiceHarness) -> None:
    preview = await forget(stocked, "likes walnuts medlars", 0.001, validate_only=True)
    terms = {match.id: list(match.found_terms) for match in preview.matches}  # type: ignore[attr-defined]
    (best,) = await stocked.memories("likes walnuts medlars", limit=1, include_score_parts=True)
    assert best.memory.content == "Ben likes walnuts"
    assert terms[best.memory.id] == ["likes", "walnuts"]
    assert list(best.score_parts.found_terms) == ["likes", "walnuts"]
    del terms[best.memory.id]
    assert sorted(terms.values()) == [[], ["likes"], ["likes"], ["likes"]]


async def test_what_lacks_a_number_of_the_query_is_not_forgotten(
    any_harness: ServiceHarness,
) -> None:
    harness = any_harness
    numbers = range(48200, 48230)
    await harness.client.remember(*(f"Invoice {number} was paid in cash" for number in numbers))
    for absent in (31284, 48231, 4820):
        for floor in (0.001, 0.99):
            done = await forget(harness, f"Invoice {absent} was paid in cash", floor)
            assert done.forgotten_count == 0  # type: ignore[attr-defined]
    # A hundred could be found, and the one that is meant is none of the best.
    seen = await forget(
        harness, "paid in cash: invoice 48213", 0.001, max_forget=1, validate_only=True
    )
    (match,) = seen.matches  # type: ignore[attr-defined]
    assert (await harness.client.memory(match.id)).content == "Invoice 48213 was paid in cash"
    assert "48213" in match.found_terms
    done = await forget(harness, "paid in cash: invoice 48213", 0.001, max_forget=1)
    assert [one.id for one in done.matches] == [match.id]  # type: ignore[attr-defined]
    assert not done.matches[0].found_terms  # type: ignore[attr-defined]
    left = await harness.contents("invoice paid in cash", limit=100)
    assert len(left) == len(numbers) - 1


async def test_nothing_that_scores_less_and_nothing_elsewhere_is_forgotten(
    stocked: ServiceHarness,
) -> None:
    await stocked.client.remember("Ann likes quinces raw", container="other")
    receipt = await stocked.client.put("Ann likes quinces raw and more", wait=True)
    done = await forget(stocked, "zebras in the zoo", 0.9)
    assert (done.forgotten_count, done.forget_batch_id) == (0, "")  # type: ignore[attr-defined]
    await forget(stocked, "Ann quinces raw", 0.0001)
    assert await stocked.contents("quinces", container_tags=["default"]) == []
    assert await stocked.contents("quinces", container_tags=["other"]) == ["Ann likes quinces raw"]
    assert (await stocked.client.get(receipt.id)).content
    assert len(await stocked.texts("quinces")) == 1


async def test_a_repetition_answers_the_same_with_scores(stocked: ServiceHarness) -> None:
    request_id = str(uuid.uuid4())
    first = await forget(stocked, "Ann quinces", 0.3, request_id=request_id)
    assert first.forgotten_count  # type: ignore[attr-defined]
    assert all(match.score >= 0.3 for match in first.matches)  # type: ignore[attr-defined]
    await stocked.client.remember("Ann likes quinces again")
    assert await forget(stocked, "Ann quinces", 0.3, request_id=request_id) == first
    assert "Ann likes quinces again" in await stocked.contents("quinces")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await forget(stocked, "Ann quinces", 0.4, request_id=request_id)


async def test_what_is_superseded_or_forgotten_is_no_match(stocked: ServiceHarness) -> None:
    hits = await stocked.memories("Ann quinces", limit=3)
    await stocked.client.memories.ForgetMemory(m.ForgetMemoryRequest(id=hits[0].memory.id))
    await stocked.client.memories.UpdateMemory(
        m.UpdateMemoryRequest(id=hits[1].memory.id, new_content="gone from the larder")
    )
    done = await forget(stocked, "Ann quinces", 0.3)
    assert [match.id for match in done.matches] == [hits[2].memory.id]  # type: ignore[attr-defined]


async def test_bad_selectors_are_refused(harness: ServiceHarness) -> None:
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
            await harness.client.memories.ForgetMemories(bad)


async def test_a_match_scores_as_it_does_in_a_search(harness: ServiceHarness) -> None:
    """However many memories have its text, and others match as well."""
    await harness.client.remember(*["Ann likes quinces"] * 3, "Ann likes quinces raw", "Ben sings")
    hits = {hit.memory.content: hit.score for hit in await harness.memories("Ann likes quinces")}
    preview = await forget(harness, "Ann likes quinces", 0.001, validate_only=True)
    scores = {
        (await harness.client.memory(match.id)).content: match.score
        for match in preview.matches  # type: ignore[attr-defined]
    }
    assert scores == pytest.approx({name: hits[name] for name in scores}, abs=1e-5)
    assert preview.forgotten_count >= 4  # type: ignore[attr-defined]

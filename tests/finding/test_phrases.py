"""Phrases that what is found must and must not contain, in searches and in forgetting."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.client import refused, struct
from tests.finding.service_harness import ServiceHarness, where
from tests.inprocess import ManualClock

INVOICES = 40


def said(speaker: str, text: str) -> d.ConversationMessage:
    return d.ConversationMessage(speaker=speaker, text=text)


async def invoices(harness: ServiceHarness) -> None:
    """Memories alike in all but a number; every fifth is unpaid."""
    await harness.client.remember(
        *(
            m.NewMemory(
                content=f"Invoice {number} was {'not ' if number % 5 == 0 else ''}paid in cash",
                metadata=struct({"even": "no" if number % 2 else "yes"}),
            )
            for number in range(INVOICES)
        )
    )


async def test_memories_hold_what_they_must_word_for_word(any_harness: ServiceHarness) -> None:
    await invoices(any_harness)

    async def found(query: str = "invoice paid in cash", **fields: Any) -> set[int]:
        contents = await any_harness.contents(query, limit=100, **fields)
        return {int(content.split()[1]) for content in contents}

    unpaid = set(range(0, INVOICES, 5))
    assert await found() == set(range(INVOICES))
    assert await found(must_contain=["INVOICE 7 was"]) == {7}
    assert await found(must_contain=["7 invoice"]) == set()
    assert await found(must_contain=["was not"]) == unpaid
    assert await found(must_contain=["was", "not paid"], must_not_contain=["5"]) == unpaid - {5}
    assert await found(must_not_contain=["was not"]) == set(range(INVOICES)) - unpaid
    assert await found(must_contain=["was not"], filter=where("even", "yes")) == {0, 10, 20, 30}
    assert await found('was “not paid” invoice "in cash"') == unpaid
    assert await found('was "not paid invoice') == set(range(INVOICES))
    assert await found('"paid in money" invoice') == set()


async def test_the_best_of_those_that_hold_a_phrase_are_found(any_harness: ServiceHarness) -> None:
    """However many others rank before them."""
    await any_harness.client.remember(
        *(f"green tea {'tea ' * (n % 7)}note {n}" for n in range(100))
    )
    await any_harness.client.remember("a note of the green gate", "of the green gate, a long note")
    found = await any_harness.contents("green tea note", limit=1, must_contain=["of the"])
    assert found == ["a note of the green gate"]
    both = await any_harness.contents("green tea note", limit=2, must_contain=["of the"])
    assert set(both) == {"a note of the green gate", "of the green gate, a long note"}
    few = await any_harness.contents("green tea note", limit=3, must_not_contain=["tea", "long"])
    assert few == ["a note of the green gate"]
    assert await any_harness.contents("green tea", min_score=1, must_contain=["of the"]) == []


async def test_a_hit_scores_as_if_what_lacks_the_phrases_were_not_there(
    any_harness: ServiceHarness,
) -> None:
    """However often it is there."""
    other, _ = await any_harness.client.remember("green tea, no cups", "green tea with cups " * 2)
    await any_harness.client.remember(*["green tea, green tea and green tea"] * 90)
    for fields in ({"must_contain": ["no cups"]}, {"must_not_contain": ["green tea and", "with"]}):
        (hit,) = await any_harness.memories("green tea", **fields)
        assert hit.memory.id == other.id
        (again,) = await any_harness.memories("green tea", min_score=hit.score, **fields)
        assert again == hit
        assert hit.score > 0.5


async def test_what_is_forgotten_superseded_or_past_is_judged_by_its_own_text(
    any_harness: ServiceHarness, clock: ManualClock
) -> None:
    (made,) = await any_harness.client.remember("the boat is red now")
    before = clock.tick()
    await any_harness.client.memories.UpdateMemory(
        m.UpdateMemoryRequest(id=made.id, new_content="the boat is blue now")
    )
    assert await any_harness.contents("boat", must_contain=["is red"]) == []
    assert await any_harness.contents("boat", must_contain=["is blue"]) == ["the boat is blue now"]
    assert await any_harness.contents("boat", must_contain=["is red"], include_history=True) == [
        "the boat is red now"
    ]
    assert await any_harness.contents("boat", must_contain=["is red"], as_of=before) == [
        "the boat is red now"
    ]
    assert await any_harness.contents("boat", must_contain=["is blue"], as_of=before) == []


async def test_the_text_of_a_chunk_counts_and_not_its_speaker_title_or_heading(
    any_harness: ServiceHarness,
) -> None:
    harness = any_harness
    talk = d.Conversation(
        messages=[
            said("Ann Boat", "the red boat leaves at nine"),
            said("Ben", "which boat is it, Ann Boat?"),
            said("Ann Boat", "a boat"),
        ]
    )
    await harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(conversation=talk, title="boat Journal", wait=True)
    )
    await harness.client.put(
        "# Red boats\n\nThey leave when the boat is full.\n\n# Tariff\n\nOne boat coin.",
        content_kind=d.CONTENT_KIND_MARKDOWN,
        wait=True,
    )

    async def found(**fields: Any) -> set[str]:
        return set(await harness.texts("boat", limit=100, **fields))

    assert await found(must_contain=["ann boat"]) == {"which boat is it, Ann Boat?"}
    assert await found(must_contain=["boat journal"]) == set()
    assert await found(must_contain=["red boat"]) == {"the red boat leaves at nine"}
    (full,) = await found(must_contain=["boat is full"])
    assert full.endswith("They leave when the boat is full.")
    assert await found(must_contain=["boat"], must_not_contain=["red", "red boats", "it"]) == {
        "a boat",
        "# Tariff\n\nOne boat coin." if "# Tariff" in full else "Tariff\n\nOne boat coin.",
    }
    (hit,) = await harness.search("boat", must_contain=["which boat"], neighbors=1)
    (chunk,) = hit.chunks
    assert [one.text for one in (*chunk.before, *chunk.after)] == [
        "the red boat leaves at nine",
        "a boat",
    ]
    both = await harness.memories("boat", include_chunks=True, must_contain=["red boat"])
    assert [hit.chunk.text for hit in both] == ["the red boat leaves at nine"]


async def test_forgetting_by_query_takes_only_what_holds_the_phrases(
    any_harness: ServiceHarness,
) -> None:
    await invoices(any_harness)

    async def forget(**fields: Any) -> m.ForgetMemoriesResponse:
        request = m.ForgetMemoriesRequest(min_score=0.001, max_forget=500, **fields)
        return await any_harness.client.memories.ForgetMemories(request)

    unpaid = len(range(0, INVOICES, 5))
    seen = await forget(query="invoice paid", must_contain=["was not"], validate_only=True)
    assert seen.forgotten_count == unpaid
    seen = await forget(query='invoice "was not paid"', validate_only=True)
    assert seen.forgotten_count == unpaid
    seen = await forget(query="invoice paid", must_not_contain=["was not"], validate_only=True)
    assert seen.forgotten_count == INVOICES - unpaid
    assert (await forget(query='"invoice 7" was paid')).forgotten_count == 1
    assert (await forget(query='"invoice 7" was paid')).forgotten_count == 0
    left = await any_harness.contents("invoice paid", limit=100)
    assert len(left) == INVOICES - 1
    assert "Invoice 7 was paid in cash" not in left


async def test_a_profile_takes_phrases_in_quotes(harness: ServiceHarness) -> None:
    await harness.client.remember(*(f"note {number} of tea" for number in range(5)))
    answer = await harness.client.memories.GetProfile(
        m.GetProfileRequest(query='tea "note 3"', limit=1)
    )
    assert [hit.memory.content for hit in answer.hits] == ["note 3 of tea"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"must_contain": ["a", "..."]}, "must_contain[1]"),
        ({"must_contain": [""]}, "must_contain[0]"),
        ({"must_not_contain": ["a\0"]}, "must_not_contain[0]"),
        ({"must_not_contain": ["x" * 201]}, "must_not_contain[0]"),
        ({"must_contain": ["x"] * 17}, "must_contain"),
        ({"query": '"a" ' * 17}, "query"),
    ],
)
async def test_phrases_are_bounded(
    harness: ServiceHarness, fields: dict[str, Any], named: str
) -> None:
    query = {"query": "tea", **fields}
    calls = (
        lambda: harness.search(**query),
        lambda: harness.memories(**query),
        lambda: harness.client.memories.ForgetMemories(
            m.ForgetMemoriesRequest(min_score=1, **query)
        ),
    )
    for call in calls:
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
            await call()
        assert refusal.fields == [named]


async def test_phrases_are_for_forgetting_by_query_alone(harness: ServiceHarness) -> None:
    (made,) = await harness.client.remember("tea")
    selectors: list[dict[str, Any]] = [{"ids": [made.id]}, {"filter": where("k", "v")}]
    for fields in selectors:
        for name in ("must_contain", "must_not_contain"):
            phrases: dict[str, Any] = {name: ["tea"]}
            request = m.ForgetMemoriesRequest(**fields, **phrases)
            with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
                await harness.client.memories.ForgetMemories(request)
            assert refusal.fields == [name]
    assert not (await harness.client.memory(made.id)).forgotten


async def test_a_score_does_not_depend_on_how_many_hits_are_wanted(
    any_harness: ServiceHarness,
) -> None:
    await any_harness.client.remember(
        "Tea with the milk", "Tea with no milk", "Tea with the cold milk", "Tea and biscuits"
    )
    for phrase in ("the milk", "with the", "biscuits"):
        all_hits = await any_harness.memories("tea with milk", limit=100, must_contain=[phrase])
        (best,) = await any_harness.memories("tea with milk", limit=1, must_contain=[phrase])
        assert best.memory.content == all_hits[0].memory.content
        assert best.score == pytest.approx(all_hits[0].score)


async def test_function_words_are_found_where_there_is_nothing_else(
    any_harness: ServiceHarness,
) -> None:
    await any_harness.client.remember("the", "of the")
    assert await any_harness.contents("the", limit=1) == ["the"]

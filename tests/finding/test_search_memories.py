"""SearchMemories and GetProfile: what is shown when, of whom, and from where."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import filter_pb2 as f
from palimpsest.v1 import memories_pb2 as m
from tests.client import connected, refused, struct
from tests.finding.service_harness import ServiceHarness, where
from tests.inprocess import ManualClock


async def update(harness: ServiceHarness, memory_id: str, content: str, **fields: object) -> str:
    answer = await harness.client.memories.UpdateMemory(
        m.UpdateMemoryRequest(id=memory_id, new_content=content, **fields)  # type: ignore[arg-type]
    )
    return answer.receipt.id


async def test_every_change_is_seen_by_the_next_search(harness: ServiceHarness) -> None:
    memories = harness.client.memories
    (made,) = await harness.client.remember("Ann likes quinces")
    assert await harness.contents("quinces medlars") == ["Ann likes quinces"]
    latest = await update(harness, made.id, "Ann likes medlars")
    assert await harness.contents("quinces medlars") == ["Ann likes medlars"]
    await memories.ForgetMemory(m.ForgetMemoryRequest(id=latest))
    assert await harness.contents("quinces medlars") == []
    await memories.RestoreMemory(m.RestoreMemoryRequest(id=latest))
    assert await harness.contents("quinces medlars") == ["Ann likes medlars"]
    await memories.DeleteMemory(m.DeleteMemoryRequest(id=made.id))
    assert await harness.contents("quinces medlars", include_forgotten=True) == []
    assert await harness.contents("quinces medlars", include_history=True) == []


async def test_a_hit_says_how_many_share_its_text(any_harness: ServiceHarness) -> None:
    harness = any_harness
    await harness.client.remember(*["Ann likes quinces"] * 3, "Ann likes medlars")
    talk = [d.ConversationMessage(speaker="Ben", text="Ann likes quinces")] * 2
    await harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(conversation=d.Conversation(messages=talk), wait=True)
    )
    hits = await harness.memories("quinces medlars")
    assert {hit.memory.content: hit.same_text_count for hit in hits} == {
        "Ann likes quinces": 3,
        "Ann likes medlars": 1,
    }
    hits = await harness.memories("quinces", include_chunks=True)
    counts = {hit.memory.content or hit.chunk.text: hit.same_text_count for hit in hits}
    assert counts["Ann likes quinces"] == 5
    (hit,) = await harness.search("quinces")
    assert [chunk.same_text_count for chunk in hit.chunks] == [2]


async def test_score_parts_name_the_terms_that_were_found_and_those_that_are_missing(
    any_harness: ServiceHarness,
) -> None:
    await any_harness.client.remember("Bo paid the invoice 48213", "Bo paid the invoice 48214")
    hits = await any_harness.memories("paid invoice 48213 ferry", include_score_parts=True)
    parts = {hit.memory.content[-5:]: hit.score_parts for hit in hits}
    assert set(parts["48213"].found_terms) == {"paid", "invoice", "48213"}
    assert list(parts["48213"].missing_terms) == []
    assert set(parts["48214"].found_terms) == {"paid", "invoice"}
    assert list(parts["48214"].missing_terms) == ["48213"]
    hits = await any_harness.memories("paid invoice 48213 ferry")
    assert not any(hit.HasField("score_parts") for hit in hits)


async def test_chunks_are_left_out_by_speaker(any_harness: ServiceHarness) -> None:
    said = [
        ("José  Álvarez", "the ferry leaves at nine"),
        ("Ann", "the ferry leaves at ten"),
        ("Ann Marie", "the ferry leaves at eleven"),
        ("", "the ferry leaves at noon"),
        ("Ben", "the ferry leaves at ten"),
    ]
    messages = [d.ConversationMessage(speaker=speaker, text=text) for speaker, text in said]
    await any_harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(conversation=d.Conversation(messages=messages), wait=True)
    )
    await any_harness.client.put("Ann: the ferry leaves at two", wait=True)
    await any_harness.client.remember("Ann: the ferry leaves at three")

    async def found(*names: str, **fields: Any) -> set[str]:
        hits = await any_harness.memories(
            "when the ferry leaves", exclude_speakers=names, limit=100, **fields
        )
        return {(hit.memory.content or hit.chunk.text).rpartition(" ")[2] for hit in hits}

    everyone = {"nine", "ten", "eleven", "noon", "two", "three"}
    assert await found(include_chunks=True) == everyone
    # What Ben says too is found as his.
    assert await found(" ANN!", include_chunks=True) == everyone - {"two"}
    assert await found("Ann", "ben", include_chunks=True) == everyone - {"two", "ten"}
    assert await found("alvarez", include_chunks=True) == everyone
    assert await found("jose alvarez", include_chunks=True) == everyone - {"nine"}
    assert await found("ann marie", "nobody", include_chunks=True) == everyone - {"eleven"}
    assert await found("Ann") == {"three"}
    (best,) = await any_harness.memories(
        "ten", include_chunks=True, exclude_speakers=["Ann"], limit=1, min_score=0.5
    )
    assert (best.chunk.speaker, best.chunk.text) == ("Ben", "the ferry leaves at ten")


async def test_names_of_speakers_to_leave_out_are_checked(harness: ServiceHarness) -> None:
    for names, field in (
        (["Ann", "..."], "exclude_speakers[1]"),
        (["a\0"], "exclude_speakers[0]"),
        (["x" * 201], "exclude_speakers[0]"),
        (["Ann"] * 101, "exclude_speakers"),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
            await harness.memories("ferry", include_chunks=True, exclude_speakers=names)
        assert refusal.fields == [field]


async def test_expiry_needs_no_sweep(harness: ServiceHarness, clock: ManualClock) -> None:
    memory = m.NewMemory(content="Ann is in Paris", forget_after=clock.stamp(60))
    await harness.client.remember(memory)
    assert await harness.contents("Paris") == ["Ann is in Paris"]
    clock.advance(61)
    assert await harness.contents("Paris") == []
    assert await harness.contents("Paris", include_forgotten=True) == ["Ann is in Paris"]
    await harness.service.store.sweep()
    assert await harness.contents("Paris") == []
    assert await harness.contents("Paris", include_forgotten=True) == ["Ann is in Paris"]


async def test_the_past_is_searched_as_it_was(harness: ServiceHarness, clock: ManualClock) -> None:
    memories = harness.client.memories
    before = clock.tick()
    (made,) = await harness.client.remember("Ann likes quinces")
    first = clock.tick()
    latest = await update(harness, made.id, "Ann likes medlars", metadata=struct({"k": "v"}))
    second = clock.tick()
    await memories.ForgetMemory(m.ForgetMemoryRequest(id=latest, reason="moved"))
    third = clock.tick()
    await memories.RestoreMemory(m.RestoreMemoryRequest(id=latest, forget_after=clock.stamp(60)))
    fourth = clock.tick()
    clock.advance(100)
    fifth = clock.tick()

    async def at(stamp: Timestamp, **fields: object) -> list[str]:
        return await harness.contents("Ann quinces medlars", as_of=stamp, **fields)

    expected = [[], ["Ann likes quinces"], ["Ann likes medlars"], [], ["Ann likes medlars"], []]
    times = (before, first, second, third, fourth, fifth)
    assert [await at(stamp) for stamp in times] == expected
    forgotten = [await at(stamp, include_forgotten=True) for stamp in times]
    assert forgotten[3] == forgotten[5] == ["Ann likes medlars"]
    history = await at(third, include_forgotten=True, include_history=True)
    assert sorted(history) == ["Ann likes medlars", "Ann likes quinces"]
    assert await at(third, include_history=True) == ["Ann likes quinces"]
    assert await at(first, filter=where("k", "v")) == []
    assert await at(second, filter=where("k", "v")) == ["Ann likes medlars"]
    (hit,) = await harness.memories("medlars", as_of=second)
    assert (hit.memory.version, hit.memory.is_latest, hit.memory.forgotten) == (2, True, False)
    (hit,) = await harness.memories("quinces", as_of=first)
    assert (hit.memory.version, hit.memory.is_latest) == (1, True)
    with refused(grpc.StatusCode.OUT_OF_RANGE, "TIME_IN_FUTURE"):
        await at(clock.stamp(60))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await at(first, include_chunks=True)
    # Deleted things are gone from the past too.
    await memories.DeleteMemory(m.DeleteMemoryRequest(id=latest))
    assert [await at(stamp) for stamp in times] == [[]] * 6


async def test_forgotten_and_superseded_ones_are_found_when_asked_for_by_name(
    harness: ServiceHarness,
) -> None:
    kept, changed, forgotten = await harness.client.remember(
        "Ann likes quinces", "Ben likes quinces", "Eve likes quinces"
    )
    latest = await update(harness, changed.id, "Ben likes walnuts")
    await harness.client.memories.ForgetMemory(m.ForgetMemoryRequest(id=forgotten.id))
    shown = {"Ann likes quinces", "Ben likes walnuts"}
    for fields, more in (
        ({}, set()),
        ({"include_forgotten": True}, {"Eve likes quinces"}),
        ({"include_history": True}, {"Ben likes quinces"}),
        (
            {"include_forgotten": True, "include_history": True},
            {"Eve likes quinces", "Ben likes quinces"},
        ),
    ):
        assert set(await harness.contents("likes", **fields)) == shown | more
    hits = await harness.memories("likes", include_forgotten=True, include_history=True)
    state = {h.memory.id: (h.memory.is_latest, h.memory.forgotten) for h in hits}
    assert state == {
        kept.id: (True, False),
        changed.id: (False, False),
        latest: (True, False),
        forgotten.id: (True, True),
    }


async def test_chunks_and_memories_together(harness: ServiceHarness) -> None:
    receipt = await harness.client.put("Ann likes quinces", container_tags=["default"], wait=True)
    await harness.client.put("Ann likes medlars", wait=True)
    (made,) = await harness.client.remember(
        m.NewMemory(content="Ben likes quinces", source_document_id=receipt.id)
    )
    await harness.client.remember("Ann likes quinces")
    hits = await harness.memories("likes quinces", include_chunks=True)
    texts = [hit.memory.content or hit.chunk.text for hit in hits]
    assert sorted(texts) == ["Ann likes medlars", "Ann likes quinces", "Ben likes quinces"]
    assert {hit.memory.source_document_id for hit in hits if hit.memory.id == made.id} == {
        receipt.id
    }
    chunks = [hit.chunk for hit in hits if hit.HasField("chunk")]
    assert all(chunk.document_id for chunk in chunks)
    assert {hit.WhichOneof("found") for hit in hits} == {"memory", "chunk"}
    alone = await harness.memories("likes quinces")
    assert {hit.WhichOneof("found") for hit in alone} == {"memory"}


async def test_the_same_text_is_found_once_the_best_and_oldest_of_it(
    harness: ServiceHarness,
) -> None:
    twins = await harness.client.remember(*["Ann likes quinces"] * 3)
    await harness.client.remember("Ann likes quinces", container="other")
    (hit,) = await harness.memories("quinces", container_tags=["other", "default"])
    assert hit.memory.content == "Ann likes quinces"
    (hit,) = await harness.memories("quinces")
    assert hit.memory.id == min(twin.id for twin in twins)
    await harness.client.memories.ForgetMemory(m.ForgetMemoryRequest(id=hit.memory.id))
    (hit,) = await harness.memories("quinces")
    assert hit.memory.id in {twin.id for twin in twins}


async def test_several_containers_are_one_corpus(harness: ServiceHarness) -> None:
    texts = ["Ann likes quinces", "Ben likes medlars", "Eve likes quinces and medlars", "walnuts"]
    await harness.client.remember(*texts, container="all")
    for number, text in enumerate(texts):
        await harness.client.remember(text, container=f"c{number}")
    together = await harness.memories("quinces medlars", container_tags=["all"])
    apart = await harness.memories(
        "quinces medlars", container_tags=["c3", "c1", "c0", "c2", "nothing.here"]
    )

    def told(hits: list[m.SearchHit]) -> list[tuple[str, object]]:
        return [(hit.memory.content, pytest.approx(hit.score, abs=1e-5)) for hit in hits]

    assert told(together) == told(apart)
    assert {hit.memory.container_tag for hit in apart} <= {"c0", "c1", "c2", "c3"}


async def test_nothing_elsewhere_moves_a_rank_or_a_score(harness: ServiceHarness) -> None:
    await harness.client.remember(
        "Ann likes quinces", "Ben likes medlars", "walnuts", container="x"
    )

    async def answer() -> list[m.SearchHit]:
        return await harness.memories("Ann quinces", container_tags=["x"], include_score_parts=True)

    before = await answer()
    key = harness.service.create_key(tenant="other")
    async with connected(harness.service.address, key) as other:
        for number in range(20):
            text = f"Ann quinces {number}"
            await other.remember(text, container="x")
            await harness.client.remember(text, container="y")
            await harness.client.put(text, container_tags=["x"], wait=number == 19)
        await harness.idle()
        assert await answer() == before
    # What is forgotten, superseded or expired counts as little.
    made = await harness.client.remember("Ann quinces quinces", container="x")
    latest = await harness.client.memories.UpdateMemory(
        m.UpdateMemoryRequest(container_tag="x", id=made[0].id, new_content="Ann Ann quinces")
    )
    await harness.client.memories.ForgetMemory(
        m.ForgetMemoryRequest(container_tag="x", id=latest.receipt.id)
    )
    assert await answer() == before


async def test_filters_are_on_the_version_that_is_found(harness: ServiceHarness) -> None:
    (made,) = await harness.client.remember(
        m.NewMemory(content="Ann likes quinces", metadata=struct({"k": "v"}), is_static=True)
    )
    await harness.client.remember("Ben likes quinces")
    static = f.Filter(condition=f.Condition(field=f.FILTER_FIELD_STATIC, equals_bool=True))
    for tree in (where("k", "v"), static):
        assert await harness.contents("likes", filter=tree) == ["Ann likes quinces"]
        assert await harness.contents("likes", filter=f.Filter(negated=tree)) == [
            "Ben likes quinces"
        ]
    await update(
        harness, made.id, "Ann likes medlars", metadata=struct({"k": "w"}), is_static=False
    )
    for tree in (where("k", "v"), static):
        assert await harness.contents("likes", filter=tree) == []
        old = await harness.contents("likes", filter=tree, include_history=True)
        assert old == ["Ann likes quinces"]


async def test_a_profile_has_what_lasts_what_is_recent_and_what_fits(
    harness: ServiceHarness, clock: ManualClock
) -> None:
    traits = [m.NewMemory(content=f"trait {i}", is_static=True) for i in range(3)]
    await harness.client.remember(*traits)
    recent = await harness.client.remember(*(f"memory {i}" for i in range(5)))
    await harness.client.remember(m.NewMemory(content="in Paris", forget_after=clock.stamp(60)))
    await harness.client.remember("elsewhere", container="other")
    profiles = harness.client.memories.GetProfile

    answer = await profiles(m.GetProfileRequest())
    assert [one.content for one in answer.static_memories] == ["trait 2", "trait 1", "trait 0"]
    expected = ["in Paris", *(f"memory {i}" for i in range(4, -1, -1))]
    assert [one.content for one in answer.recent_memories] == expected
    assert not answer.hits
    assert answer.text == (
        "Lasting traits:\n- trait 2\n- trait 1\n- trait 0\n\n"
        "Recent memories:\n" + "\n".join(f"- {text}" for text in expected)
    )
    clock.advance(61)
    await harness.client.memories.ForgetMemory(m.ForgetMemoryRequest(id=recent[4].id))
    latest = await update(harness, recent[0].id, "memory 0\n- and more")
    answer = await profiles(m.GetProfileRequest(limit=2))
    assert [one.content for one in answer.static_memories] == ["trait 2", "trait 1"]
    assert [one.id for one in answer.recent_memories] == [latest, recent[3].id]
    assert "- memory 0 - and more\n" in answer.text
    answer = await profiles(m.GetProfileRequest(limit=2, query="memory 1 trait 0"))
    assert {hit.memory.content for hit in answer.hits} == {"memory 1", "trait 0"}
    assert answer.text.endswith(
        "Relevant memories:\n" + "\n".join(f"- {hit.memory.content}" for hit in answer.hits)
    )
    answer = await profiles(m.GetProfileRequest(limit=2, query="memory 1", min_score=1.0))
    assert not answer.hits
    answer = await profiles(m.GetProfileRequest(container_tag="none", query="memory"))
    assert answer.text == ""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await profiles(m.GetProfileRequest(limit=101))


async def test_a_profile_says_nothing_twice(harness: ServiceHarness) -> None:
    await harness.client.remember("Ann likes quinces")
    await harness.client.remember(*(f"note {i}" for i in range(3)), "Ann likes quinces")
    answer = await harness.client.memories.GetProfile(m.GetProfileRequest(limit=2, query="quinces"))
    assert [one.content for one in answer.recent_memories] == ["Ann likes quinces", "note 2"]
    assert "Ann likes quinces" not in [hit.memory.content for hit in answer.hits]


async def test_a_memory_changed_while_a_profile_is_read_stands_in_it_once(
    harness: ServiceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = await harness.client.remember(m.NewMemory(content="likes quinces", is_static=True))
    memories = harness.service.store.memories
    read = memories.list
    changes = iter([False, None])

    async def changed_after(*arguments: Any) -> Any:
        page = await read(*arguments)
        if (static := next(changes)) is not None:
            request = m.UpdateMemoryRequest(
                id=receipt.id, new_content="likes medlars", is_static=static
            )
            await harness.client.memories.UpdateMemory(request)
        return page

    monkeypatch.setattr(memories, "list", changed_after)
    answer = await harness.client.memories.GetProfile(m.GetProfileRequest(query="likes"))
    assert not answer.static_memories
    assert [one.content for one in answer.recent_memories] == ["likes medlars"]
    assert not answer.hits


async def test_profiles_are_filtered(harness: ServiceHarness) -> None:
    marked = m.NewMemory(content="marked", metadata=struct({"k": "v"}), is_static=True)
    await harness.client.remember(marked, m.NewMemory(content="bare", is_static=True), "other")
    answer = await harness.client.memories.GetProfile(
        m.GetProfileRequest(filter=where("k", "v"), query="bare other")
    )
    assert [one.content for one in answer.static_memories] == ["marked"]
    assert not answer.recent_memories
    assert not answer.hits


async def test_keys_limited_to_containers_are_held_to_them(harness: ServiceHarness) -> None:
    await harness.client.remember("Ann likes quinces", container="x")
    key = harness.service.create_key(containers=["x"], read_only=True)
    denied = grpc.StatusCode.PERMISSION_DENIED
    async with connected(harness.service.address, key) as limited:
        answer = await limited.memories.SearchMemories(
            m.SearchMemoriesRequest(query="quinces", container_tags=["x"])
        )
        assert len(answer.hits) == 1
        everywhere = m.SearchMemoriesRequest(query="quinces")
        assert (await limited.memories.SearchMemories(everywhere)).hits == answer.hits
        with refused(denied, "CONTAINER_NOT_ALLOWED"):
            await limited.memories.SearchMemories(
                m.SearchMemoriesRequest(query="quinces", container_tags=["x", "y"])
            )
        with refused(denied, "CONTAINER_NOT_ALLOWED"):
            await limited.memories.GetProfile(m.GetProfileRequest(container_tag="y"))
        with refused(denied, "KEY_READ_ONLY"):
            await limited.memories.ForgetMemories(
                m.ForgetMemoriesRequest(container_tag="x", query="quinces", min_score=0.1)
            )
        with refused(denied, "KEY_READ_ONLY"):
            await limited.documents.AppendMessages(
                d.AppendMessagesRequest(id="a", messages=[d.ConversationMessage(text="x")])
            )


async def test_what_moves_between_containers_is_found_where_it_is(harness: ServiceHarness) -> None:
    await harness.client.put("quinces keep", custom_id="a", container_tags=["x", "y"], wait=True)
    assert len(await harness.texts("quinces", container_tags=["x"])) == 1
    bulk = d.BulkDeleteDocumentsRequest(container_tags=["x"])
    answer = await harness.client.documents.BulkDeleteDocuments(bulk)
    assert (answer.deleted_count, answer.detached_count) == (0, 1)
    assert await harness.texts("quinces", container_tags=["x"]) == []
    assert len(await harness.texts("quinces", container_tags=["y"])) == 1
    await harness.client.documents.BulkDeleteDocuments(d.BulkDeleteDocumentsRequest(ids=["a"]))
    assert await harness.texts("quinces", container_tags=["y"]) == []

"""Conversations: appending at once, and being refused."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Filter
from tests.client import connected, refused, struct
from tests.finding.service_harness import ServiceHarness, where

CALLERS = 64
EACH = 10


def message(text: str, speaker: str = "") -> d.ConversationMessage:
    return d.ConversationMessage(speaker=speaker, text=text)


async def append(
    harness: ServiceHarness, name: str, *messages: d.ConversationMessage, **fields: object
) -> object:
    return await harness.client.documents.AppendMessages(
        d.AppendMessagesRequest(id=name, messages=messages, **fields)  # type: ignore[arg-type]
    )


@pytest.mark.slow
async def test_concurrent_appends_lose_nothing_and_keep_each_callers_order(
    harness: ServiceHarness,
) -> None:
    async def caller(number: int) -> None:
        for count in range(EACH):
            half = f"caller{number} says {count}"
            await append(harness, "talk", message(half, f"c{number}"), create_if_missing=True)

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    document = await harness.settled("talk")
    assert document.status == d.DOCUMENT_STATUS_DONE
    messages = document.conversation.messages
    assert len(messages) == CALLERS * EACH
    for number in range(CALLERS):
        said = [one.text for one in messages if one.speaker == f"c{number}"]
        assert said == [f"caller{number} says {count}" for count in range(EACH)]
    chunks = harness.chunks(document.id)
    assert [row.text.decode() for row in chunks] == [one.text for one in messages]
    assert len({row.chunk_id for row in chunks}) == len(messages)
    (hit,) = await harness.search("caller17 says 3", limit=1, neighbors=1)
    (found,) = hit.chunks
    assert found.chunk.text == "caller17 says 3"
    place = found.chunk.position
    around = [one.text for one in messages[max(0, place - 1) : place + 2]]
    assert [*(c.text for c in found.before), "caller17 says 3", *(c.text for c in found.after)] == (
        around
    )
    assert harness.check() == []


async def test_messages_come_back_as_they_were(harness: ServiceHarness) -> None:
    given = [
        message("Hello \N{GRINNING FACE}", "Ann"),
        d.ConversationMessage(speaker="Ben", image_caption="a lake at dawn"),
        message(" spaces \n stay "),
    ]
    given[0].time.FromJsonString("2023-05-08T13:56:00.000001Z")
    await harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(
            custom_id="talk", conversation=d.Conversation(messages=given), wait=True
        )
    )
    document = await harness.client.get("talk")
    assert list(document.conversation.messages) == given
    assert document.content == ""
    (hit,) = await harness.search("lake", limit=1)
    (found,) = hit.chunks
    assert (found.chunk.speaker, found.chunk.text) == ("Ben", "[image: a lake at dawn]")
    (hit,) = await harness.search("Hello", limit=1)
    assert hit.chunks[0].chunk.time == given[0].time
    listed = [item async for page in harness.client.pages() for item in page]
    assert not listed[0].HasField("conversation")
    listed = [item async for page in harness.client.pages(include_content=True) for item in page]
    assert list(listed[0].conversation.messages) == given


async def test_messages_keep_the_utc_offset_of_where_they_were_said(
    harness: ServiceHarness,
) -> None:
    given = [
        message("a quarter of an hour ahead", "Ann"),
        message("behind", "Ben"),
        message("here"),
    ]
    for one, offset in zip(given, (825, -300, 0), strict=True):
        one.time.FromJsonString("2026-03-02T04:30:00Z")
        one.utc_offset_minutes = offset
    plain = message("behind", "Ben")
    plain.time.CopyFrom(given[1].time)
    first = await append(harness, "talk", *given, create_if_missing=True)
    await append(harness, "talk", plain)
    document = await harness.settled("talk")
    assert list(document.conversation.messages) == [*given, plain]
    assert first.receipt.etag != document.etag  # type: ignore[attr-defined]
    hits = await harness.search("behind ahead here", limit=10)
    offsets = {
        one.chunk.position: one.chunk.utc_offset_minutes
        if one.chunk.HasField("utc_offset_minutes")
        else None
        for hit in hits
        for one in hit.chunks
    }
    # The two of one text are found once, by the first of them.
    assert offsets == {0: 825, 1: -300, 2: 0}
    ids = [row.chunk_id for row in harness.chunks(document.id)]
    # Said elsewhere: all that is known of it is another.
    given[0].utc_offset_minutes = 60
    await harness.client.documents.UpdateDocument(
        d.UpdateDocumentRequest(
            id="talk", conversation=d.Conversation(messages=[*given, plain]), wait=True
        )
    )
    after = [row.chunk_id for row in harness.chunks(document.id)]
    assert after[0] != ids[0]
    assert after[1:] == ids[1:]
    assert harness.check() == []


async def test_the_first_and_the_last_day_have_offsets_too(harness: ServiceHarness) -> None:
    given = []
    for stamp in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        for offset in (-1439, 0, 1439):
            one = message(f"said at {stamp} and {offset}")
            one.time.FromJsonString(stamp)
            one.utc_offset_minutes = offset
            given.append(one)
    await append(harness, "talk", *given, create_if_missing=True)
    document = await harness.settled("talk")
    assert document.status == d.DOCUMENT_STATUS_DONE
    assert list(document.conversation.messages) == given
    assert len(harness.chunks(document.id)) == len(given)


async def test_a_message_is_found_by_the_day_that_it_was_where_it_was_said(
    harness: ServiceHarness,
) -> None:
    given = [message("a late supper", "Ann"), message("an early breakfast", "Ben")]
    for one, offset in zip(given, (-300, 60), strict=True):
        one.time.FromJsonString("2026-03-02T04:30:00Z")
        one.utc_offset_minutes = offset
    await append(harness, "talk", *given, create_if_missing=True, wait=True)
    await harness.client.remember(
        m.NewMemory(
            content="a supper with Eve",
            temporal_context=m.TemporalContext(document_date="2026-03-01T23:30:00-05:00"),
        )
    )
    assert (await harness.texts("2026-03-01", limit=1)) == ["a late supper"]
    assert (await harness.texts("2026-03-02", limit=1)) == ["an early breakfast"]
    (hit,) = await harness.memories("2026-03-01", min_score=0.5)
    assert hit.memory.content == "a supper with Eve"
    assert await harness.memories("2026-03-02", min_score=0.5) == []


@pytest.mark.parametrize("offset", [-1440, 1440, 2**31 - 1])
async def test_an_offset_that_no_clock_has_is_refused(harness: ServiceHarness, offset: int) -> None:
    bad = message("hello")
    bad.time.FromJsonString("2026-03-02T04:30:00Z")
    bad.utc_offset_minutes = offset
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await append(harness, "talk", bad, create_if_missing=True)
    assert refusal.fields == ["messages[0].utc_offset_minutes"]


async def test_an_offset_needs_a_time(harness: ServiceHarness) -> None:
    bad = d.ConversationMessage(text="hello", utc_offset_minutes=0)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await append(harness, "talk", bad, create_if_missing=True)
    assert refusal.fields == ["messages[0].utc_offset_minutes"]


async def test_appending_sets_title_and_metadata_as_an_upsert_does(harness: ServiceHarness) -> None:
    made = await append(
        harness,
        "talk",
        message("hello"),
        create_if_missing=True,
        title="Transcript",
        metadata=struct({"kind": "transcript", "room": "blue", "unset": None}),
    )
    document = await harness.client.get("talk")
    assert (document.title, dict(document.metadata)) == (
        "Transcript",
        {"kind": "transcript", "room": "blue"},
    )
    assert made.receipt.etag == document.etag  # type: ignore[attr-defined]
    again = await append(
        harness,
        "talk",
        message("more"),
        etag=document.etag,
        metadata=struct({"room": None, "day": 2}),
    )
    document = await harness.client.get("talk")
    assert (document.title, dict(document.metadata)) == (
        "Transcript",
        {"kind": "transcript", "day": 2},
    )
    assert again.receipt.etag == document.etag  # type: ignore[attr-defined]
    assert [one.text for one in document.conversation.messages] == ["hello", "more"]
    await append(harness, "talk", message("last"), title="")
    document = await harness.settled("talk")
    assert (document.title, dict(document.metadata)) == ("", {"kind": "transcript", "day": 2})
    transcripts = where("kind", "transcript")
    assert await harness.search("hello", filter=transcripts)
    assert not await harness.search("hello", filter=Filter(negated=transcripts))


async def test_an_append_with_bad_metadata_or_title_appends_nothing(
    harness: ServiceHarness,
) -> None:
    await append(
        harness, "talk", message("hello"), create_if_missing=True, metadata=many_keys("a", 60)
    )
    before = await harness.settled("talk")
    for name, fields in (
        ("metadata.k", {"metadata": struct({"k": {"nested": 1}})}),
        ("metadata", {"metadata": many_keys("b", 60)}),
        ("title", {"title": "x" * 1001}),
        ("title", {"title": "a\0"}),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
            await append(harness, "talk", message("more"), **fields)
        assert refusal.fields == [name]
    assert await harness.client.get("talk") == before


def many_keys(prefix: str, count: int) -> Struct:
    return struct({f"{prefix}{number}": number for number in range(count)})


async def test_appending_is_refused_with_the_reason(harness: ServiceHarness) -> None:
    await harness.client.put("a text", custom_id="text", container_tags=["x"])
    await append(harness, "talk", message("hello"), create_if_missing=True, container_tags=["x"])
    precondition = grpc.StatusCode.FAILED_PRECONDITION
    with refused(precondition, "NOT_A_CONVERSATION"):
        await append(harness, "text", message("hello"))
    with refused(precondition, "NOT_A_CONVERSATION"):
        await append(harness, "text", message("hello"), create_if_missing=True)
    with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await append(harness, "none", message("hello"))
    with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
        await append(
            harness, "doc_0000000000000000000000", message("hello"), create_if_missing=True
        )
    with refused(precondition, "CUSTOM_ID_IN_OTHER_CONTAINER"):
        tags = ["x", "y"]
        await append(harness, "talk", message("hello"), create_if_missing=True, container_tags=tags)
    with refused(grpc.StatusCode.ABORTED, "ETAG_MISMATCH"):
        await append(harness, "talk", message("hello"), etag="other")
    with refused(grpc.StatusCode.ABORTED, "ETAG_MISMATCH"):
        await append(harness, "new", message("hello"), etag="other", create_if_missing=True)
    for bad in (
        d.AppendMessagesRequest(id="talk"),
        d.AppendMessagesRequest(id="talk", messages=[d.ConversationMessage(speaker="Ann")]),
        d.AppendMessagesRequest(id="mem_1", messages=[message("hello")]),
        d.AppendMessagesRequest(id="a\x00b", messages=[message("hello")], create_if_missing=True),
        d.AppendMessagesRequest(
            id="talk", messages=[message("hello")], container_tag="y", container_tags=["x", "y"]
        ),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await harness.client.documents.AppendMessages(bad)
    assert len((await harness.client.get("talk")).conversation.messages) == 1


async def test_an_id_that_the_key_may_not_see_is_no_id(harness: ServiceHarness) -> None:
    """What has a custom id elsewhere is nothing to it, and it can begin its own."""
    made = await append(
        harness, "talk", message("hello"), create_if_missing=True, container_tags=["x"]
    )
    async with connected(
        harness.service.address, harness.service.create_key(containers=["y"])
    ) as other:
        for name in (made.receipt.id, "doc_0000000000000000000000"):  # type: ignore[attr-defined]
            for creates in (False, True):
                request = d.AppendMessagesRequest(
                    id=name,
                    messages=[message("hello")],
                    create_if_missing=creates,
                    container_tags=["y"],
                )
                with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
                    await other.documents.AppendMessages(request)
        request.id, request.create_if_missing = "talk", False
        with refused(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"):
            await other.documents.AppendMessages(request)
        request.create_if_missing = True
        begun = await other.documents.AppendMessages(request)
        assert begun.receipt.created
    assert len((await harness.client.get("talk", "x")).conversation.messages) == 1
    assert (await harness.client.get("talk", "y")).id == begun.receipt.id


async def test_a_conversation_has_a_largest_size(harness: ServiceHarness) -> None:
    large = message("x" * 60_000)
    await append(harness, "talk", *[large] * 17, create_if_missing=True)
    before = await harness.client.get("talk")
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "CONTENT_TOO_LARGE"):
        await append(harness, "talk", large)
    assert (await harness.client.get("talk")).etag == before.etag
    await append(harness, "talk", message("a little more"))
    for _ in range(10):
        await append(harness, "many", *[message("x")] * 1000, create_if_missing=True)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "CONTENT_TOO_LARGE"):
        await append(harness, "many", message("x"))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await append(harness, "other", *[large] * 18, create_if_missing=True)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await harness.client.documents.UpsertDocument(
            d.UpsertDocumentRequest(conversation=d.Conversation(messages=[large] * 18))
        )


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_repeated_append_appends_once(harness: ServiceHarness, at_once: bool) -> None:
    request_id = str(uuid.uuid4())
    calls = [
        append(harness, "talk", message("hello"), create_if_missing=True, request_id=request_id)
        for _ in range(4)
    ]
    answers = await asyncio.gather(*calls) if at_once else [await call for call in calls]
    assert all(answer == answers[0] for answer in answers)
    assert len((await harness.client.get("talk")).conversation.messages) == 1
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await append(harness, "talk", message("bye"), create_if_missing=True, request_id=request_id)


async def test_appends_by_either_id_meet(harness: ServiceHarness) -> None:
    first = await append(harness, "talk", message("0"), create_if_missing=True)
    name = first.receipt.id  # type: ignore[attr-defined]
    await asyncio.gather(
        *(append(harness, ("talk", name)[i % 2], message(f"{i}")) for i in range(1, 20))
    )
    texts = [one.text for one in (await harness.client.get("talk")).conversation.messages]
    assert texts[0] == "0"
    assert sorted(texts, key=int) == [f"{i}" for i in range(20)]

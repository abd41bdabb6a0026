"""Writes that meet a document at work: the newest wins, and nothing is found that should not be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from service.core.model import Status
from service.pipeline.worker import PipelineOptions
from service.search.probes import QUESTIONS, STATEMENTS
from tests.client import struct
from tests.embedding_server import Server
from tests.finding.service_harness import STAGES, ServiceHarness, indexing, running_harness, where
from tests.inprocess import ManualClock

pytestmark = pytest.mark.slow

SECTIONS = "\n\n".join(f"# Part {i}\n\nParagraph {i} speaks of topic{i}." for i in range(5))

at_every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name.lower())


@pytest_asyncio.fixture
async def gathering(directory: Path, clock: ManualClock) -> AsyncIterator[ServiceHarness]:
    """One worker takes all that waits, and the other nothing meanwhile."""
    options = indexing(pipeline=PipelineOptions(gather=3600.0))
    async with running_harness(directory, clock, embedder="words:a", options=options) as made:
        yield made


def asked(server: Server) -> list[str]:
    """The texts the embedding server was asked for, less those it is tried with."""
    texts = [text for request in server.asked for text in request["input"]]
    return [text for text in texts if text not in (*QUESTIONS, *STATEMENTS)]


async def test_only_texts_that_are_new_are_embedded(remote: ServiceHarness, server: Server) -> None:
    markdown = d.CONTENT_KIND_MARKDOWN
    receipt = await remote.client.put(SECTIONS, content_kind=markdown, custom_id="a", wait=True)
    before = remote.chunks(receipt.id)
    assert len(before) == len(asked(server)) == 5
    server.asked.clear()

    changed = SECTIONS.replace("topic2", "something else")
    await remote.client.put(changed, content_kind=markdown, custom_id="a", wait=True)
    after = remote.chunks(receipt.id)
    assert ["something else" in text for text in asked(server)] == [True]
    assert [one == other for one, other in zip(before, after, strict=True)] == [
        *(True, True, False, True, True)
    ]

    # Moved: everything stays but the places.
    server.asked.clear()
    parts = changed.split("\n\n# ")
    moved = "\n\n# ".join([parts[0], *reversed(parts[1:])])
    await remote.client.put(moved, content_kind=markdown, custom_id="a", wait=True)
    assert asked(server) == []
    assert {row.chunk_id: row.vector for row in remote.chunks(receipt.id)} == {
        row.chunk_id: row.vector for row in after
    }

    # Metadata, containers, a date: nothing to embed. A title stands above every chunk.
    documents = remote.client.documents
    for change in (
        d.UpdateDocumentRequest(id="a", metadata=struct({"k": "v"}), wait=True),
        d.UpdateDocumentRequest(id="a", container_tags=["x", "y"], wait=True),
    ):
        await documents.UpdateDocument(change)
    assert asked(server) == []
    await documents.UpdateDocument(d.UpdateDocumentRequest(id="a", title="Plan", wait=True))
    assert len(asked(server)) == 5
    assert all("Plan" in text for text in asked(server))
    assert {row.chunk_id for row in remote.chunks(receipt.id)} == {row.chunk_id for row in after}
    assert remote.check() == []


async def test_only_new_messages_are_embedded(remote: ServiceHarness, server: Server) -> None:
    for number in range(4):
        server.asked.clear()
        await remote.client.documents.AppendMessages(
            d.AppendMessagesRequest(
                id="talk",
                messages=[d.ConversationMessage(speaker="Ann", text=f"message {number}")],
                create_if_missing=True,
                wait=True,
            )
        )
        assert asked(server) == [f"message {number}"]


@at_every_stage
async def test_a_newer_write_wins_at_every_stage(harness: ServiceHarness, stage: Status) -> None:
    receipt = await harness.client.put("ancient wording", custom_id="a", wait=True)
    harness.stages.hold(stage)
    await harness.client.put("middle wording", custom_id="a")
    await harness.stages.reached()
    # What was DONE is found until something newer is.
    assert await harness.texts("wording") == ["ancient wording"]
    newest = await harness.client.put("newest wording", custom_id="a")
    assert newest.status == d.DOCUMENT_STATUS_QUEUED
    assert await harness.texts("wording") == ["ancient wording"]
    harness.stages.let_go()
    document = await harness.settled("a")
    await harness.idle()
    assert (document.status, document.revision) == (d.DOCUMENT_STATUS_DONE, newest.revision)
    assert await harness.texts("ancient middle newest wording") == ["newest wording"]
    assert [row.text for row in harness.chunks(receipt.id)] == [b"newest wording"]
    assert harness.changes(receipt.id) == [
        *("document.created", "document.processed", "document.updated", "document.updated"),
        "document.processed",
    ]
    assert harness.check() == []


@at_every_stage
async def test_what_is_deleted_at_work_never_comes_back(
    harness: ServiceHarness, stage: Status
) -> None:
    receipt = await harness.client.put("ancient wording", custom_id="a", wait=True)
    harness.stages.hold(stage)
    await harness.client.put("newer wording", custom_id="a")
    await harness.stages.reached()
    await harness.client.documents.DeleteDocument(d.DeleteDocumentRequest(id="a"))
    assert await harness.texts("wording") == []
    harness.stages.let_go()
    again = await harness.client.put("reborn wording", custom_id="a", wait=True)
    await harness.idle()
    assert again.id != receipt.id
    assert await harness.texts("ancient newer wording") == ["reborn wording"]
    assert harness.chunks(receipt.id) == []
    assert harness.changes(receipt.id)[-1] == "document.deleted"
    assert harness.check() == []


@at_every_stage
async def test_containers_deleted_at_work_take_everything_along(
    gathering: ServiceHarness, stage: Status
) -> None:
    harness = gathering
    await harness.client.put("words of a", custom_id="a", container_tags=["gone"])
    await harness.client.put(
        "words of b", custom_id="b", container_tags=["gone", "kept"], wait=True
    )
    await harness.idle()
    harness.stages.hold(stage)
    newer = [d.UpsertDocumentRequest(content=f"newer words of {i}", custom_id=i) for i in "ab"]
    await harness.client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=newer))
    await harness.stages.reached()
    await harness.client.containers.DeleteContainer(c.DeleteContainerRequest(container_tag="gone"))
    assert await harness.texts("words", container_tags=["gone"]) == []
    assert await harness.texts("words", container_tags=["gone", "kept"]) == ["words of b"]
    # Nobody holds what only left a container, so that it waits for a worker again.
    assert await harness.status("b") == d.DOCUMENT_STATUS_QUEUED
    assert harness.check() == []
    harness.stages.let_go()
    document = await harness.settled("b")
    assert document.container_tags == ["kept"]
    assert await harness.texts("words", container_tags=["gone"]) == []
    assert await harness.texts("words", container_tags=["kept"]) == ["newer words of b"]
    assert harness.check() == []


@at_every_stage
async def test_other_changes_at_work_are_seen_at_once(
    harness: ServiceHarness, stage: Status
) -> None:
    filters = where("k", "v")
    await harness.client.put("some words", custom_id="a", container_tags=["x"], wait=True)
    harness.stages.hold(stage)
    await harness.client.put("some words, and more", custom_id="a")
    await harness.stages.reached()
    assert await harness.texts("words", container_tags=["x"], filter=filters) == []
    await harness.client.documents.UpdateDocument(
        d.UpdateDocumentRequest(id="a", metadata=struct({"k": "v"}), container_tags=["x", "y"])
    )
    for tag in ("x", "y"):
        found = await harness.texts("words", container_tags=[tag], filter=filters)
        assert found == ["some words"]
    harness.stages.let_go()
    await harness.settled("a")
    await harness.idle()
    await harness.client.documents.UpdateDocument(
        d.UpdateDocumentRequest(id="a", container_tags=["y"])
    )
    assert await harness.texts("words", container_tags=["x"]) == []
    assert await harness.texts("words", container_tags=["y"]) == ["some words, and more"]
    await harness.settled("a")
    assert harness.check() == []


async def test_shorter_content_leaves_no_chunk_of_the_longer(harness: ServiceHarness) -> None:
    markdown = d.CONTENT_KIND_MARKDOWN
    receipt = await harness.client.put(SECTIONS, content_kind=markdown, custom_id="a", wait=True)
    text = d.CONTENT_KIND_TEXT
    short = "# Part 4\n\nAll that is left."
    await harness.client.put(short, content_kind=text, custom_id="a", wait=True)
    assert [row.position for row in harness.chunks(receipt.id)] == [0]
    found = await harness.texts("topic0 topic1 topic4 left", limit=100)
    assert found == ["# Part 4\n\nAll that is left."]
    await harness.client.put("<p> </p>", content_kind=d.CONTENT_KIND_HTML, custom_id="a", wait=True)
    assert harness.chunks(receipt.id) == []
    assert await harness.status("a") == d.DOCUMENT_STATUS_DONE
    assert await harness.texts("left") == []
    assert harness.check() == []


async def test_a_document_turns_from_text_to_conversation_and_back(harness: ServiceHarness) -> None:
    await harness.client.put("Ann: a text", custom_id="a", wait=True)
    talk = d.Conversation(messages=[d.ConversationMessage(speaker="Ann", text="a text")])
    await harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(custom_id="a", conversation=talk, wait=True)
    )
    ((hit,),) = [hit.chunks for hit in await harness.search("text")]
    assert (hit.chunk.speaker, hit.chunk.text) == ("Ann", "a text")
    assert (await harness.client.get("a")).content_kind == d.CONTENT_KIND_CONVERSATION
    await harness.client.put("Ann: a text", custom_id="a", wait=True)
    document = await harness.client.get("a")
    assert (document.content_kind, document.content) == (d.CONTENT_KIND_TEXT, "Ann: a text")
    assert await harness.texts("text") == ["Ann: a text"]

"""Writes that meet a document at work: the newest wins, and nothing is found that should not be."""

from __future__ import annotations

import pytest

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from service.core.model import Status
from service.pipeline import worker
from service.search.probes import QUESTIONS, STATEMENTS
from tests.client import struct
from tests.embedding_server import Server
from tests.finding.lab import STAGES, Lab, where

pytestmark = pytest.mark.slow

SECTIONS = "\n\n".join(f"# Part {i}\n\nParagraph {i} speaks of topic{i}." for i in range(5))

at_every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name.lower())


def asked(server: Server) -> list[str]:
    """The texts the embedding server was asked for, less those it is tried with."""
    texts = [text for request in server.asked for text in request["input"]]
    return [text for text in texts if text not in (*QUESTIONS, *STATEMENTS)]


async def test_only_texts_that_are_new_are_embedded(remote: Lab, server: Server) -> None:
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


async def test_only_new_messages_are_embedded(remote: Lab, server: Server) -> None:
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
async def test_a_newer_write_wins_at_every_stage(lab: Lab, stage: Status) -> None:
    receipt = await lab.client.put("ancient wording", custom_id="a", wait=True)
    lab.stages.hold(stage)
    await lab.client.put("middle wording", custom_id="a")
    await lab.stages.reached()
    # What was DONE is found until something newer is.
    assert await lab.texts("wording") == ["ancient wording"]
    newest = await lab.client.put("newest wording", custom_id="a")
    assert newest.status == d.DOCUMENT_STATUS_QUEUED
    assert await lab.texts("wording") == ["ancient wording"]
    lab.stages.let_go()
    document = await lab.settled("a")
    await lab.idle()
    assert (document.status, document.revision) == (d.DOCUMENT_STATUS_DONE, newest.revision)
    assert await lab.texts("ancient middle newest wording") == ["newest wording"]
    assert [row.text for row in lab.chunks(receipt.id)] == [b"newest wording"]
    assert lab.changes(receipt.id) == [
        *("document.created", "document.processed", "document.updated", "document.updated"),
        "document.processed",
    ]
    assert lab.check() == []


@at_every_stage
async def test_what_is_deleted_at_work_never_comes_back(lab: Lab, stage: Status) -> None:
    receipt = await lab.client.put("ancient wording", custom_id="a", wait=True)
    lab.stages.hold(stage)
    await lab.client.put("newer wording", custom_id="a")
    await lab.stages.reached()
    await lab.client.documents.DeleteDocument(d.DeleteDocumentRequest(id="a"))
    assert await lab.texts("wording") == []
    lab.stages.let_go()
    again = await lab.client.put("reborn wording", custom_id="a", wait=True)
    await lab.idle()
    assert again.id != receipt.id
    assert await lab.texts("ancient newer wording") == ["reborn wording"]
    assert lab.chunks(receipt.id) == []
    assert lab.changes(receipt.id)[-1] == "document.deleted"
    assert lab.check() == []


@at_every_stage
async def test_containers_deleted_at_work_take_everything_along(
    lab: Lab, stage: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab.client.put("words of a", custom_id="a", container_tags=["gone"])
    await lab.client.put("words of b", custom_id="b", container_tags=["gone", "kept"], wait=True)
    await lab.idle()
    # One worker takes both, and the other nothing meanwhile.
    monkeypatch.setattr(worker, "GATHER_SECONDS", 3600.0)
    lab.stages.hold(stage)
    newer = [d.UpsertDocumentRequest(content=f"newer words of {i}", custom_id=i) for i in "ab"]
    await lab.client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=newer))
    await lab.stages.reached()
    await lab.client.containers.DeleteContainer(c.DeleteContainerRequest(container_tag="gone"))
    assert await lab.texts("words", container_tags=["gone"]) == []
    assert await lab.texts("words", container_tags=["gone", "kept"]) == ["words of b"]
    # Nobody holds what only left a container, so that it waits for a worker again.
    assert await lab.status("b") == d.DOCUMENT_STATUS_QUEUED
    assert lab.check() == []
    lab.stages.let_go()
    document = await lab.settled("b")
    assert document.container_tags == ["kept"]
    assert await lab.texts("words", container_tags=["gone"]) == []
    assert await lab.texts("words", container_tags=["kept"]) == ["newer words of b"]
    assert lab.check() == []


@at_every_stage
async def test_other_changes_at_work_are_seen_at_once(lab: Lab, stage: Status) -> None:
    filters = where("k", "v")
    await lab.client.put("some words", custom_id="a", container_tags=["x"], wait=True)
    lab.stages.hold(stage)
    await lab.client.put("some words, and more", custom_id="a")
    await lab.stages.reached()
    assert await lab.texts("words", container_tags=["x"], filter=filters) == []
    await lab.client.documents.UpdateDocument(
        d.UpdateDocumentRequest(id="a", metadata=struct({"k": "v"}), container_tags=["x", "y"])
    )
    for tag in ("x", "y"):
        found = await lab.texts("words", container_tags=[tag], filter=filters)
        assert found == ["some words"]
    lab.stages.let_go()
    await lab.settled("a")
    await lab.idle()
    await lab.client.documents.UpdateDocument(d.UpdateDocumentRequest(id="a", container_tags=["y"]))
    assert await lab.texts("words", container_tags=["x"]) == []
    assert await lab.texts("words", container_tags=["y"]) == ["some words, and more"]
    await lab.settled("a")
    assert lab.check() == []


async def test_shorter_content_leaves_no_chunk_of_the_longer(lab: Lab) -> None:
    markdown = d.CONTENT_KIND_MARKDOWN
    receipt = await lab.client.put(SECTIONS, content_kind=markdown, custom_id="a", wait=True)
    text = d.CONTENT_KIND_TEXT
    short = "# Part 4\n\nAll that is left."
    await lab.client.put(short, content_kind=text, custom_id="a", wait=True)
    assert [row.position for row in lab.chunks(receipt.id)] == [0]
    found = await lab.texts("topic0 topic1 topic4 left", limit=100)
    assert found == ["# Part 4\n\nAll that is left."]
    await lab.client.put("<p> </p>", content_kind=d.CONTENT_KIND_HTML, custom_id="a", wait=True)
    assert lab.chunks(receipt.id) == []
    assert await lab.status("a") == d.DOCUMENT_STATUS_DONE
    assert await lab.texts("left") == []
    assert lab.check() == []


async def test_a_document_turns_from_text_to_conversation_and_back(lab: Lab) -> None:
    await lab.client.put("Ann: a text", custom_id="a", wait=True)
    talk = d.Conversation(messages=[d.ConversationMessage(speaker="Ann", text="a text")])
    await lab.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(custom_id="a", conversation=talk, wait=True)
    )
    ((hit,),) = [hit.chunks for hit in await lab.search("text")]
    assert (hit.chunk.speaker, hit.chunk.text) == ("Ann", "a text")
    assert (await lab.client.get("a")).content_kind == d.CONTENT_KIND_CONVERSATION
    await lab.client.put("Ann: a text", custom_id="a", wait=True)
    document = await lab.client.get("a")
    assert (document.content_kind, document.content) == (d.CONTENT_KIND_TEXT, "Ann: a text")
    assert await lab.texts("text") == ["Ann: a text"]

"""The way of a document from QUEUED to DONE, as callers see it, and waiting for its end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from palimpsest.v1 import documents_pb2 as d
from service.content.base import Extract, UnreadableContentError
from service.content.html import Html
from service.core.model import Status
from tests.client import connected, received, refused
from tests.embedding_server import Answer, Server
from tests.finding.service_harness import STAGES, ServiceHarness, running_harness
from tests.inprocess import ManualClock, running_service
from tests.waiting import HANG_SECONDS, until

WAY = [
    d.DOCUMENT_STATUS_QUEUED,
    d.DOCUMENT_STATUS_EXTRACTING,
    d.DOCUMENT_STATUS_CHUNKING,
    d.DOCUMENT_STATUS_EMBEDDING,
    d.DOCUMENT_STATUS_INDEXING,
    d.DOCUMENT_STATUS_DONE,
]


def conversation(*texts: str) -> d.Conversation:
    return d.Conversation(messages=[d.ConversationMessage(speaker="Ann", text=t) for t in texts])


async def test_watching_shows_every_stage_in_order(harness: ServiceHarness) -> None:
    await harness.client.put("first words", custom_id="a", wait=True)
    harness.stages.hold(Status.EXTRACTING)
    await harness.client.put("other words", custom_id="a")
    await harness.stages.reached()
    call = harness.client.documents.WatchDocument(d.WatchDocumentRequest(id="a"))
    states = [await received(call)]
    harness.stages.let_go()
    states += [state async for state in call]
    assert [state.document.status for state in states] == WAY[1:]
    assert not any(state.document.content or state.deleted for state in states)


async def test_getting_shows_each_stage_and_watchers_see_the_one_that_lasts(
    harness: ServiceHarness,
) -> None:
    for stage in STAGES:
        harness.stages.hold(stage)
        await harness.client.put(f"words of {stage.name}", custom_id="a")
        await harness.stages.reached()

        async def entered(stage: Status = stage) -> bool:
            return await harness.status("a") == stage

        await until(entered)
        call = harness.client.documents.WatchDocument(d.WatchDocumentRequest(id="a"))
        assert (await received(call)).document.status == int(stage)
        harness.stages.let_go()
        later = [state.document.status async for state in call]
        assert later == WAY[int(stage) :]


async def test_a_watch_ends_when_a_document_is_deleted_at_work(harness: ServiceHarness) -> None:
    harness.stages.hold(Status.EMBEDDING)
    receipt = await harness.client.put("words")
    await harness.stages.reached()
    call = harness.client.documents.WatchDocument(d.WatchDocumentRequest(id=receipt.id))
    assert (await received(call)).document.status == d.DOCUMENT_STATUS_EMBEDDING
    await harness.client.documents.DeleteDocument(d.DeleteDocumentRequest(id=receipt.id))
    assert [(state.deleted, state.document.id) async for state in call] == [(True, receipt.id)]


async def test_every_write_call_can_wait_for_done(harness: ServiceHarness) -> None:
    documents = harness.client.documents
    put = await harness.client.put("some words", custom_id="a", wait=True)
    assert put.status == d.DOCUMENT_STATUS_DONE
    batch = await documents.BatchUpsertDocuments(
        d.BatchUpsertDocumentsRequest(
            items=[
                d.UpsertDocumentRequest(content="other words", custom_id="a"),
                d.UpsertDocumentRequest(
                    content="new", custom_id="none", mode=d.UPSERT_MODE_UPDATE_ONLY
                ),
                d.UpsertDocumentRequest(content="more words"),
            ],
            wait=True,
        )
    )
    assert [o.WhichOneof("result") for o in batch.outcomes] == ["receipt", "error", "receipt"]
    done = [o.receipt.status for o in batch.outcomes if o.HasField("receipt")]
    assert done == [d.DOCUMENT_STATUS_DONE] * 2
    update = await documents.UpdateDocument(
        d.UpdateDocumentRequest(id="a", title="A title", wait=True)
    )
    assert update.receipt.status == d.DOCUMENT_STATUS_DONE
    append = await documents.AppendMessages(
        d.AppendMessagesRequest(
            id="talk",
            messages=conversation("hello").messages,
            create_if_missing=True,
            wait=True,
        )
    )
    assert (append.receipt.status, append.receipt.created) == (d.DOCUMENT_STATUS_DONE, True)
    assert append.message_count == 1
    for name in ("a", "talk"):
        assert await harness.status(name) == d.DOCUMENT_STATUS_DONE


async def test_waiting_ends_at_the_deadline_with_the_status_so_far(harness: ServiceHarness) -> None:
    harness.stages.hold(Status.EMBEDDING)
    await harness.client.put("words", custom_id="a")
    await harness.stages.reached()
    request = d.UpsertDocumentRequest(content="words", custom_id="a", wait=True)
    receipt = await _before_its_deadline(harness, request)
    assert (receipt.changed, receipt.status) == (False, d.DOCUMENT_STATUS_EMBEDDING)
    request.content = "other words"
    receipt = await _before_its_deadline(harness, request)
    assert receipt.status < d.DOCUMENT_STATUS_DONE


async def _before_its_deadline(
    harness: ServiceHarness, request: d.UpsertDocumentRequest
) -> d.DocumentReceipt:
    """What the call answers, which waits for something that does not come.

    A busy machine may need longer than the time that is kept for answering, of which a
    longer deadline leaves more.
    """
    for seconds in (1, 4, 16, 64):
        try:
            answer = await harness.client.documents.UpsertDocument(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
        else:
            return answer.receipt
    raise AssertionError("no answer came before a deadline")


async def test_waiting_ends_when_the_document_is_deleted(harness: ServiceHarness) -> None:
    harness.stages.hold(Status.EMBEDDING)
    put = asyncio.create_task(harness.client.put("words", custom_id="a", wait=True))
    await harness.stages.reached()
    await harness.client.documents.DeleteDocument(d.DeleteDocumentRequest(id="a"))
    receipt = await asyncio.wait_for(put, HANG_SECONDS)
    assert receipt.created


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> str:
    """HTML that cannot be read: every page can, so this one is refused by name."""
    page = "<p>wrecked"
    extract = Html.extract

    def refusing(self: Html, content: str) -> Extract:
        if content == page:
            raise UnreadableContentError("the page is wrecked")
        return extract(self, content)

    monkeypatch.setattr(Html, "extract", refusing)
    return page


async def test_waiting_tells_of_failure(harness: ServiceHarness, unreadable: str) -> None:
    receipt = await harness.client.put(unreadable, content_kind=d.CONTENT_KIND_HTML, wait=True)
    assert receipt.status == d.DOCUMENT_STATUS_FAILED


async def test_a_server_that_stops_answers_those_who_wait(
    directory: Path, clock: ManualClock
) -> None:
    async with AsyncExitStack() as stack:
        # A grace that nobody could wait for to end.
        service = await stack.enter_async_context(
            running_service(directory, clock, drain_grace=3600)
        )
        async with connected(service.address, service.create_key()) as client:
            put = asyncio.create_task(client.put("words", custom_id="a", wait=True))

            async def stored() -> bool:
                try:
                    await client.get("a")
                except grpc.RpcError:
                    return False
                return True

            await until(stored)
            async with asyncio.timeout(HANG_SECONDS):
                await stack.aclose()
            assert (await put).status == d.DOCUMENT_STATUS_QUEUED


async def test_a_repeated_request_waits_too(harness: ServiceHarness) -> None:
    request_id = "11111111-1111-4111-8111-111111111111"
    first = await harness.client.put("words", custom_id="a", request_id=request_id)
    again = await harness.client.put("words", custom_id="a", request_id=request_id)
    assert (again.id, again.created, again.revision) == (first.id, True, first.revision)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await harness.client.put("words", custom_id="a", request_id=request_id, wait=True)
    waited = "22222222-2222-4222-8222-222222222222"
    for _ in range(2):
        done = await harness.client.put("more", custom_id="b", request_id=waited, wait=True)
        assert (done.status, done.created) == (d.DOCUMENT_STATUS_DONE, True)


async def test_unreadable_content_fails_at_once_and_says_why(
    harness: ServiceHarness, unreadable: str
) -> None:
    receipt = await harness.client.put("good words", custom_id="a", wait=True)
    await harness.client.put(unreadable, custom_id="a", content_kind=d.CONTENT_KIND_HTML, wait=True)
    failed = await harness.client.get("a")
    assert (failed.status, failed.attempt_count) == (d.DOCUMENT_STATUS_FAILED, 1)
    assert "the page is wrecked" in failed.error
    assert harness.changes(receipt.id)[-1] == "document.failed"
    # What was DONE before stays findable, and nothing of what failed is.
    assert await harness.texts("good") == ["good words"]
    assert "wrecked" not in " ".join(await harness.texts("wrecked"))
    again = await harness.client.put(
        unreadable, custom_id="a", content_kind=d.CONTENT_KIND_HTML, wait=True
    )
    assert (again.changed, again.status) == (False, d.DOCUMENT_STATUS_FAILED)
    repaired = await harness.client.put(
        "<p>better words", custom_id="a", content_kind=d.CONTENT_KIND_HTML, wait=True
    )
    assert repaired.status == d.DOCUMENT_STATUS_DONE
    document = await harness.client.get("a")
    assert (document.error, document.attempt_count) == ("", 0)
    assert await harness.texts("better") == ["better words"]
    assert harness.check() == []


async def test_a_stopped_server_gives_its_documents_back(
    directory: Path, clock: ManualClock, server: Server, embedder: str
) -> None:
    server.go_on.clear()
    async with running_harness(directory, clock, embedder=embedder) as harness:
        await harness.client.put("words", custom_id="a")
        assert await asyncio.to_thread(server.asked_once.wait, HANG_SECONDS)
    server.go_on.set()
    async with running_harness(directory, clock, embedder=embedder, workers=0) as harness:
        (job,) = harness.rows("SELECT * FROM jobs")
        assert (job.holder, job.attempts) == (None, 0)
        assert await harness.status("a") == d.DOCUMENT_STATUS_QUEUED
    async with running_harness(directory, clock, embedder=embedder) as harness:
        document = await harness.settled("a")
        assert document.status == d.DOCUMENT_STATUS_DONE
        assert harness.changes(document.id) == ["document.created", "document.processed"]


async def test_a_server_stopped_while_it_takes_documents_gives_them_back(
    directory: Path, clock: ManualClock
) -> None:
    async with running_harness(directory, clock, embedder="words:a") as harness:
        database = harness.service.store.engine.database
        write = database.write
        taken, go_on = asyncio.Event(), asyncio.Event()

        async def slow(work: Any, *arguments: Any, **options: Any) -> object:
            result = await write(work, *arguments, **options)
            if isinstance(result, tuple) and result[0]:  # Jobs, and the partitions they are of.
                taken.set()
                await go_on.wait()
            return result

        await harness.client.put("words", custom_id="a", wait=True)
        database.write = slow  # type: ignore[method-assign,assignment]
        await harness.client.put("more words", custom_id="a")
        await asyncio.wait_for(taken.wait(), HANG_SECONDS)
        asyncio.get_running_loop().call_later(0.3, go_on.set)
    async with running_harness(directory, clock, embedder="words:a", workers=0) as harness:
        assert await harness.status("a") == d.DOCUMENT_STATUS_QUEUED
        assert [row.holder for row in harness.rows("SELECT holder FROM jobs")] == [None]


@pytest.mark.usefixtures("impatient")
async def test_one_refused_text_spoils_no_other_of_its_batch(
    remote: ServiceHarness, server: Server
) -> None:
    def picky(texts: list[str]) -> Answer:
        if any("poison" in text for text in texts):
            return Answer(400, {"error": {"message": "too long"}})
        return Answer()

    server.script = [picky] * 100
    items = [d.UpsertDocumentRequest(content=f"words {i}", custom_id=f"{i}") for i in range(6)]
    items[3].content = "poison"
    remote.stages.hold(Status.EXTRACTING)
    await remote.client.put("first")
    await remote.stages.reached()
    await remote.client.documents.BatchUpsertDocuments(d.BatchUpsertDocumentsRequest(items=items))
    remote.stages.let_go()
    for i in (0, 1, 2, 4, 5):
        assert (await remote.settled(f"{i}")).status == d.DOCUMENT_STATUS_DONE
    assert await remote.status("3") != d.DOCUMENT_STATUS_DONE

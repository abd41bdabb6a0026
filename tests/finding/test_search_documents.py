"""SearchDocuments: its options, and what it must never do."""

from __future__ import annotations

import grpc
import pytest

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import filter_pb2 as f
from service.core.model import Status
from tests.client import connected, refused, struct
from tests.finding.service_harness import ServiceHarness, where

MARKDOWN = (
    "# Fruit\n\nQuinces are sour.\n\n## Storing\n\nQuinces keep until spring.\n\n# Nuts\n\nWalnuts."
)


async def test_a_hit_names_where_it_stands(harness: ServiceHarness) -> None:
    receipt = await harness.client.put(
        MARKDOWN,
        custom_id="a",
        title="Larder",
        content_kind=d.CONTENT_KIND_MARKDOWN,
        container_tags=["x"],
        metadata={"k": "v"},
        wait=True,
    )
    (hit,) = await harness.search("quinces spring", container_tags=["x"], include_score_parts=True)
    document = await harness.client.get("a")
    document.ClearField("content")
    assert hit.document == document
    best = hit.chunks[0]
    assert best.chunk.text == "Storing\n\nQuinces keep until spring."
    assert (best.chunk.document_id, best.chunk.position) == (receipt.id, 1)
    assert best.chunk.heading == "Fruit > Storing"
    assert hit.score == best.score == max(chunk.score for chunk in hit.chunks)
    parts = best.score_parts
    assert parts.lexical == 1
    assert 0 < parts.semantic <= 1.001
    assert abs(parts.rank * parts.confidence - best.score) < 1e-6
    assert not best.before
    assert not best.after
    (bare,) = await harness.search("quinces spring", container_tags=["x"])
    assert not bare.chunks[0].HasField("score_parts")
    (full,) = await harness.search("quinces spring", container_tags=["x"], include_content=True)
    assert full.document.content == MARKDOWN


async def test_a_document_says_how_many_chunks_it_has(harness: ServiceHarness) -> None:
    async def counts(content: str, kind: d.ContentKind.ValueType) -> set[int]:
        await harness.client.put(content, custom_id="a", content_kind=kind, wait=True)
        page = await harness.client.documents.ListDocuments(d.ListDocumentsRequest())
        in_two = await harness.client.documents.ListDocuments(
            d.ListDocumentsRequest(container_tags=["default", "other"])
        )
        (last,) = [
            state.document
            async for state in harness.client.documents.WatchDocument(
                d.WatchDocumentRequest(id="a")
            )
        ]
        documents = [await harness.client.get("a"), *page.documents, *in_two.documents, last]
        assert {document.status for document in documents} == {d.DOCUMENT_STATUS_DONE}
        assert len(documents) == 4
        return {document.chunk_count for document in documents}

    assert await counts(MARKDOWN, d.CONTENT_KIND_MARKDOWN) == {3}
    assert await counts("<p>Quinces.<script>x()</script>", d.CONTENT_KIND_HTML) == {1}
    assert await counts("<nav>Home</nav><script>x()</script>", d.CONTENT_KIND_HTML) == {0}
    assert await harness.search("quinces") == []


async def test_offsets_are_those_of_the_extracted_text(harness: ServiceHarness) -> None:
    text = "Änne \N{GRINNING FACE} likes quinces. " * 60 + "\n\n" + "Ben likes medlars. " * 60
    await harness.client.put(text, wait=True)
    chunks = [
        c.chunk for hit in await harness.search("quinces medlars", limit=100) for c in hit.chunks
    ]
    assert len(chunks) > 1
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text


async def test_neighbours_stand_before_and_after(harness: ServiceHarness) -> None:
    talk = [d.ConversationMessage(text=f"line {i} word{i}") for i in range(8)]
    await harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(conversation=d.Conversation(messages=talk), wait=True)
    )
    for place, reach in ((0, 2), (4, 1), (7, 10), (3, 10)):
        (hit,) = await harness.search(f"word{place}", limit=1, neighbors=reach)
        (found,) = hit.chunks
        assert found.chunk.position == place
        assert [c.position for c in found.before] == list(range(max(0, place - reach), place))
        assert [c.position for c in found.after] == list(
            range(place + 1, min(8, place + reach + 1))
        )


async def test_the_limit_counts_chunks_and_documents_are_grouped(harness: ServiceHarness) -> None:
    for number in range(4):
        talk = [
            d.ConversationMessage(text=f"quinces number {number} {place}") for place in range(5)
        ]
        await harness.client.documents.UpsertDocument(
            d.UpsertDocumentRequest(conversation=d.Conversation(messages=talk), wait=True)
        )
    for limit in (1, 7, 20, 100):
        hits = await harness.search("quinces", limit=limit)
        assert sum(len(hit.chunks) for hit in hits) == min(limit, 20)
        assert len({hit.document.id for hit in hits}) == len(hits)
        assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
        for hit in hits:
            scores = [chunk.score for chunk in hit.chunks]
            assert scores == sorted(scores, reverse=True)
    assert sum(len(hit.chunks) for hit in await harness.search("quinces")) == 10
    first = await harness.search("quinces", limit=100)
    assert all([await harness.search("quinces", limit=100) == first for _ in range(3)])


async def test_what_scores_less_is_left_out(harness: ServiceHarness) -> None:
    for number in range(6):
        words = " ".join(["quinces", "medlars", "walnuts", "almonds"][: number % 4 + 1])
        await harness.client.put(f"{words} {number}", wait=True)
    every = await harness.search("quinces medlars walnuts almonds")
    scores = [chunk.score for hit in every for chunk in hit.chunks]
    for floor in (*scores, 0.9999, 1.0):
        kept = await harness.search("quinces medlars walnuts almonds", min_score=floor)
        found = [chunk.score for hit in kept for chunk in hit.chunks]
        assert found == [score for score in scores if score >= floor]


async def test_the_same_text_is_found_once_and_a_shared_document_too(
    harness: ServiceHarness,
) -> None:
    await harness.client.put(
        "quinces are sour", custom_id="a", container_tags=["x", "y"], wait=True
    )
    await harness.client.put("quinces are sour", custom_id="b", container_tags=["y"], wait=True)
    await harness.client.put("quinces are sweet", custom_id="c", container_tags=["y"], wait=True)
    for tags in (["x", "y"], ["y", "x"], ["y"]):
        texts = await harness.texts("quinces sour", container_tags=tags)
        assert texts == ["quinces are sour", "quinces are sweet"]


@pytest.mark.slow
async def test_no_filter_under_returns(harness: ServiceHarness) -> None:
    """A filter that matches 1 in 1,000 finds the nearest of those, and after changes too."""
    items = [
        d.UpsertDocumentRequest(
            content=f"quinces are good, note {i}",
            custom_id=f"{i}",
            metadata=struct({"rare": "yes" if i % 1000 == 7 else "no", "n": i}),
            container_tags=["x" if i % 2 else "y"],
        )
        for i in range(3000)
    ]
    for first in range(0, 3000, 600):
        await harness.client.documents.BatchUpsertDocuments(
            d.BatchUpsertDocumentsRequest(items=items[first : first + 600])
        )
    await harness.idle()
    rare, both = where("rare", "yes"), ["x", "y"]

    async def found(**fields: object) -> set[str]:
        hits = await harness.search("quinces note 1007", container_tags=both, **fields)
        return {hit.document.custom_id for hit in hits}

    assert await found(filter=rare) == {"7", "1007", "2007"}
    assert await found(filter=rare, limit=1) == {"1007"}
    for name, value in (("1008", "yes"), ("7", "no"), ("2007", "no"), ("2007", "yes")):
        await harness.client.documents.UpdateDocument(
            d.UpdateDocumentRequest(id=name, metadata=struct({"rare": value}))
        )
    assert await found(filter=rare) == {"1007", "1008", "2007"}
    negated = f.Filter(negated=where("rare", "no"))
    assert await found(filter=negated) == {"1007", "1008", "2007"}
    await harness.client.documents.DeleteDocument(d.DeleteDocumentRequest(id="1007"))
    assert await found(filter=rare) == {"1008", "2007"}
    narrow = f.Filter(
        all_of=f.FilterList(
            filters=[rare, f.Filter(condition=f.Condition(key="n", less_than=1500))]
        )
    )
    assert await found(filter=narrow) == {"1008"}
    await harness.idle()
    assert await found(filter=rare) == {"1008", "2007"}


async def test_filters_on_status_see_every_stage_at_once(harness: ServiceHarness) -> None:
    def status(number: d.DocumentStatus.ValueType) -> f.Filter:
        name = d.DocumentStatus.Name(number).removeprefix("DOCUMENT_STATUS_")
        return f.Filter(condition=f.Condition(field=f.FILTER_FIELD_STATUS, equals_string=name))

    await harness.client.put("good words", custom_id="a", wait=True)
    await harness.client.put("good words too", custom_id="b", wait=True)
    harness.stages.hold(Status.EMBEDDING)
    await harness.client.put("other words", custom_id="a")
    await harness.stages.reached()
    assert await harness.texts("words", filter=status(d.DOCUMENT_STATUS_EMBEDDING)) == [
        "good words"
    ]
    assert await harness.texts("words", filter=status(d.DOCUMENT_STATUS_DONE)) == ["good words too"]
    harness.stages.let_go()
    await harness.settled("a")
    assert await harness.texts("words", filter=status(d.DOCUMENT_STATUS_EMBEDDING)) == []
    assert len(await harness.texts("words", filter=status(d.DOCUMENT_STATUS_DONE))) == 2


async def test_nothing_elsewhere_moves_a_rank_or_a_score(harness: ServiceHarness) -> None:
    texts = ["quinces are sour", "medlars are soft", "Ann: quinces and medlars", "walnuts"]
    for number, text in enumerate(texts):
        await harness.client.put(text, custom_id=f"{number}", container_tags=["x"], wait=True)

    async def answer() -> list[d.DocumentHit]:
        return await harness.search(
            "sour quinces Ann", container_tags=["x"], include_score_parts=True
        )

    before = await answer()
    key = harness.service.create_key(tenant="other")
    async with connected(harness.service.address, key) as other:
        for number in range(20):
            text = f"quinces sour Ann {number}"
            await other.put(text, container_tags=["x"], wait=True)
            await harness.client.put(text, container_tags=["y"], wait=True)
        assert await answer() == before
        found = await other.documents.SearchDocuments(
            d.SearchDocumentsRequest(query="medlars", container_tags=["x"])
        )
        assert all("medlars" not in c.chunk.text for hit in found.hits for c in hit.chunks)


async def test_a_key_limited_to_containers_searches_and_sees_only_those(
    harness: ServiceHarness,
) -> None:
    await harness.client.put("quinces in both", container_tags=["x", "y"], wait=True)
    await harness.client.put("quinces in y", container_tags=["y"], wait=True)
    key = harness.service.create_key(containers=["x"], read_only=True)
    async with connected(harness.service.address, key) as limited:
        answer = await limited.documents.SearchDocuments(
            d.SearchDocumentsRequest(query="quinces", container_tags=["x"])
        )
        (hit,) = answer.hits
        assert hit.document.container_tags == ["x"]
        everywhere = d.SearchDocumentsRequest(query="quinces")
        assert (await limited.documents.SearchDocuments(everywhere)).hits == answer.hits
        for tags in (["y"], ["x", "y"]):
            with refused(grpc.StatusCode.PERMISSION_DENIED, "CONTAINER_NOT_ALLOWED"):
                await limited.documents.SearchDocuments(
                    d.SearchDocumentsRequest(query="quinces", container_tags=tags)
                )
    with refused(grpc.StatusCode.UNAUTHENTICATED, "KEY_MISSING"):
        async with connected(harness.service.address, None) as nobody:
            await nobody.documents.SearchDocuments(d.SearchDocumentsRequest(query="quinces"))


async def test_a_search_that_can_never_be_right_is_refused(harness: ServiceHarness) -> None:
    for bad in (
        d.SearchDocumentsRequest(),
        d.SearchDocumentsRequest(query="x" * 10_001),
        d.SearchDocumentsRequest(query="\x00"),
        d.SearchDocumentsRequest(query="x", limit=101),
        d.SearchDocumentsRequest(query="x", limit=-1),
        d.SearchDocumentsRequest(query="x", neighbors=11),
        d.SearchDocumentsRequest(query="x", min_score=1.1),
        d.SearchDocumentsRequest(query="x", min_score=float("nan")),
        d.SearchDocumentsRequest(query="x", container_tags=["a", "a"]),
        d.SearchDocumentsRequest(query="x", container_tags=["no spaces"]),
        d.SearchDocumentsRequest(query="x", filter=f.Filter()),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
            await harness.client.documents.SearchDocuments(bad)


async def test_queries_without_words_and_containers_without_texts_find_nothing(
    harness: ServiceHarness,
) -> None:
    assert await harness.search("quinces", container_tags=["none"]) == []
    await harness.client.put("quinces", wait=True)
    for query in ("\N{GRINNING FACE}", "?!", " ", "the", "x" * 10_000):
        await harness.search(query)
        await harness.memories(query, include_chunks=True)

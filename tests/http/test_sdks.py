"""The SDKs of Supermemory against the server: what they write is read back over gRPC."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc
import pytest

from tests.acceptance.callers import CallError, Json, StubCaller
from tests.files import pdf
from tests.harness import Server
from tests.http.sdks import KINDS, Kind, Sdk, SdkError, file, running_sdk
from tests.waiting import wait_until

pytestmark = pytest.mark.processes

CAT = "The cat Ferdinand sleeps on the warm windowsill."


def of_kinds(kinds: Iterable[Kind]) -> pytest.MarkDecorator:
    """A test for these kinds alone."""
    return pytest.mark.parametrize("kind", list(kinds), indirect=True, ids=str, scope="module")


def with_old_names(name: str, values: Sequence[str], old: Sequence[str]) -> pytest.MarkDecorator:
    """A test for each kind and value; the old kinds have more."""
    pairs = [
        pytest.param(kind, value, id=f"{kind}-{value}")
        for kind in KINDS
        for value in (*values, *(old if kind.old else ()))
    ]
    return pytest.mark.parametrize(("kind", name), pairs, indirect=["kind"], scope="module")


by_noun = with_old_names("noun", ["documents"], ["memories"])
new_kinds = of_kinds(kind for kind in KINDS if not kind.old)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def sdk_key(shared_server: Server, kind: Kind) -> str:
    return shared_server.add_key(f"sdk-{kind}".replace(".", "-"))


@pytest.fixture(scope="module")
def sdk(shared_server: Server, kind: Kind, sdk_key: str) -> Iterator[Sdk]:
    with running_sdk(kind, f"http://{shared_server.http}", sdk_key) as running:
        yield running


@pytest.fixture
def call(channel: grpc.Channel, sdk_key: str) -> StubCaller:
    """The contract, with the same key."""
    return StubCaller(channel, sdk_key)


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """A container of the test's own."""
    return str(request.node.originalname)[-100:]


@pytest.fixture
def done(call: StubCaller) -> Callable[[str], None]:
    """Waits until a document can be found."""

    def wait(name: str) -> None:
        def is_done() -> bool:
            return bool(document(call, name)["status"] == "DOCUMENT_STATUS_DONE")

        wait_until(is_done)

    return wait


def document(call: StubCaller, name: str) -> Json:
    found: Json = call("Documents.GetDocument", id=name)["document"]
    return found


def missing(call: StubCaller, name: str) -> bool:
    try:
        document(call, name)
    except CallError as error:
        return error.reasons == ["DOCUMENT_NOT_FOUND"]
    return False


def create(call: StubCaller, tag: str, *memories: Json) -> list[str]:
    made = call("Memories.CreateMemories", containerTag=tag, memories=list(memories))
    return [receipt["id"] for receipt in made["receipts"]]


def memory(call: StubCaller, tag: str, name: str) -> Json:
    found: Json = call("Memories.GetMemory", containerTag=tag, id=name)["memory"]
    return found


# --- documents -----------------------------------------------------------------------


@with_old_names("method", ["add", "documents.add"], ["memories.add"])
def test_add_writes_what_it_is_given(sdk: Sdk, call: StubCaller, tag: str, method: str) -> None:
    made = sdk.call(
        method,
        content=CAT,
        container_tag=tag,
        custom_id=f"{tag}-{method}",
        metadata={"rating": 4.5, "draft": True, "topic": "cats", "names": ["a", "b"]},
    )
    assert made["status"] == "queued"
    written = document(call, made["id"])
    assert written["content"] == CAT
    assert written["customId"] == f"{tag}-{method}"
    assert written["containerTags"] == [tag]
    assert written["metadata"] == {
        "rating": 4.5,
        "draft": True,
        "topic": "cats",
        "names": ["a", "b"],
    }


def test_the_same_custom_id_replaces_content_and_merges_metadata(
    sdk: Sdk, call: StubCaller, tag: str
) -> None:
    first = sdk.call(
        "add", content="one", custom_id=tag, container_tag=tag, metadata={"a": 1, "b": 1}
    )
    second = sdk.call("add", content="two", custom_id=tag, container_tag=tag, metadata={"b": 2})
    assert second["id"] == first["id"]
    written = document(call, first["id"])
    assert (written["content"], written["metadata"]) == ("two", {"a": 1, "b": 2})


def test_batch_add_says_what_became_of_each(sdk: Sdk, call: StubCaller, tag: str) -> None:
    items = [
        {"content": "first of a batch", "customId": f"{tag}-1", "metadata": {"own": True}},
        {"content": "second of a batch"},
    ]
    # The older Python client knows a list here.
    made = sdk.lax("documents.batch_add", documents=items, container_tag=tag, metadata={"n": 1})
    assert (made["success"], made["failed"]) == (2, 0)
    first, second = (document(call, result["id"]) for result in made["results"])
    assert (first["content"], first["metadata"]) == ("first of a batch", {"own": True})
    assert (second["content"], second["metadata"]) == ("second of a batch", {"n": 1})
    assert first["containerTags"] == second["containerTags"] == [tag]
    texts = sdk.lax("documents.batch_add", documents=["third", "fourth"], container_tag=tag)
    written = [document(call, result["id"])["content"] for result in texts["results"]]
    assert written == ["third", "fourth"]


@by_noun
def test_a_document_is_read_updated_and_deleted(
    sdk: Sdk, call: StubCaller, tag: str, noun: str
) -> None:
    made = call(
        "Documents.UpsertDocument",
        content=CAT,
        containerTags=[tag],
        metadata={"a": "x", "b": 1},
        title="Cats",
    )
    name = made["receipt"]["id"]
    read = sdk.call(f"{noun}.get", name)
    assert (read["id"], read["content"], read["title"]) == (name, CAT, "Cats")
    assert (read["metadata"], read["containerTags"]) == ({"a": "x", "b": 1}, [tag])
    assert read["createdAt"].endswith("Z")

    updated = sdk.call(f"{noun}.update", name, content="New text.", metadata={"b": 2})
    assert updated == {"id": name, "status": "queued"}
    written = document(call, name)
    assert (written["content"], written["metadata"]) == ("New text.", {"a": "x", "b": 2})
    assert sdk.call(f"{noun}.update", name, metadata={"deleted": True})["status"] == "queued"

    assert sdk.call(f"{noun}.delete", name) is None
    assert missing(call, name)
    with pytest.raises(SdkError) as raised:
        sdk.call(f"{noun}.delete", name)
    assert (raised.value.kind, raised.value.status) == ("NotFoundError", 404)
    assert raised.value.body == {"error": "Document not found", "details": "DOCUMENT_NOT_FOUND"}
    assert raised.value.requests == 1


def test_documents_are_named_by_custom_id(sdk: Sdk, call: StubCaller, tag: str) -> None:
    # Older Python clients put ids into paths as they are.
    custom_id = tag if sdk.kind.version == "3.22.0" else f"{tag}/100% of {tag}|y"
    made = sdk.call("add", content=CAT, custom_id=custom_id, container_tag=tag)
    assert sdk.call("documents.get", custom_id)["id"] == made["id"]
    assert sdk.call("documents.update", custom_id, content="Other.")["id"] == made["id"]
    assert sdk.call("documents.delete", custom_id) is None
    assert missing(call, made["id"])


@by_noun
def test_lists_have_pages_by_number(sdk: Sdk, call: StubCaller, tag: str, noun: str) -> None:
    where = f"{tag}-{noun}"
    for number in range(5):
        call(
            "Documents.UpsertDocument",
            content=f"text {number}",
            containerTags=[where],
            metadata={"number": number, "deleted": number == 4},
        )
    listed = sdk.call(
        f"{noun}.list",
        container_tags=[where],
        limit=2,
        page="2",
        sort="createdAt",
        order="asc",
        include_content=True,
    )
    assert [one["content"] for one in listed["memories"]] == ["text 2", "text 3"]
    assert [one["metadata"]["number"] for one in listed["memories"]] == [2, 3]
    assert listed["pagination"] == {
        "currentPage": 2,
        "limit": 2,
        "totalItems": 5,
        "totalPages": 3,
    }
    condition = {"AND": [{"key": "deleted", "value": "true", "negate": True}]}
    for filters in (condition, json.dumps(condition)):
        found = sdk.call(f"{noun}.list", container_tags=[where], filters=filters)
        numbers = [one["metadata"]["number"] for one in found["memories"]]
        assert numbers == [3, 2, 1, 0]
        assert found["pagination"]["totalItems"] == 4


def test_processing_documents_are_listed(sdk: Sdk) -> None:
    found = sdk.call("documents.list_processing")
    assert found["totalCount"] == len(found["documents"])


@of_kinds(kind for kind in KINDS if kind.version == "3.62.0")
@pytest.mark.parametrize("view", ["active", "pending", "all"])
def test_views_of_processing_documents(sdk: Sdk, view: str) -> None:
    found = sdk.call("documents.list_processing", view=view, container_tags="none,there")
    assert (found["documents"], found["totalCount"]) == ([], 0)
    assert ("pagination" in found) == (view == "all")


def test_documents_are_deleted_in_bulk(sdk: Sdk, call: StubCaller, tag: str) -> None:
    first, second, third = (
        call("Documents.UpsertDocument", content=str(n), containerTags=[tag])["receipt"]["id"]
        for n in range(3)
    )
    by_ids = sdk.call("documents.delete_bulk", ids=[first, "never-there", second])
    assert by_ids == {
        "success": True,
        "deletedCount": 2,
        "errors": [{"id": "never-there", "error": "Memory not found"}],
    }
    assert missing(call, first)
    assert not missing(call, third)
    by_tags = sdk.call("documents.delete_bulk", container_tags=[tag])
    assert by_tags == {"success": True, "deletedCount": 1, "containerTags": [tag]}
    assert missing(call, third)


@by_noun
def test_files_are_uploaded(sdk: Sdk, call: StubCaller, tag: str, noun: str) -> None:
    page = sdk.call(
        f"{noun}.upload_file",
        file=file("notes.md", b"# Cats\n\nThey sleep.\n"),
        container_tags=json.dumps([tag, "other"]),
        metadata=json.dumps({"kind": "notes"}),
    )
    written = document(call, page["id"])
    assert written["content"] == "# Cats\n\nThey sleep.\n"
    assert written["contentKind"] == "CONTENT_KIND_MARKDOWN"
    assert sorted(written["containerTags"]) == sorted([tag, "other"])
    assert written["metadata"] == {"kind": "notes"}

    data = pdf(["A line of a page"])
    book = sdk.call(f"{noun}.upload_file", file=file("book.pdf", data), container_tags=tag)
    assert document(call, book["id"])["contentKind"] == "CONTENT_KIND_PDF"
    assert sdk.call(f"{noun}.get", book["id"])["type"] == "pdf"

    with pytest.raises(SdkError) as raised:
        sdk.call(f"{noun}.upload_file", file=file("cat.png", b"\x89PNG\r\n"), container_tags=tag)
    assert (raised.value.status, raised.value.requests) == (415, 1)


# --- searching -----------------------------------------------------------------------


def test_what_was_added_is_found_with_the_defaults(
    sdk: Sdk, tag: str, done: Callable[[str], None]
) -> None:
    made = sdk.call("add", content=CAT, container_tag=tag, metadata={"topic": "cats"})
    done(made["id"])
    question = "Where does the cat Ferdinand sleep?"

    found = sdk.call("search.memories", q=question, container_tag=tag)
    assert [hit["memory"] for hit in found["results"]] == [CAT]
    assert found["results"][0]["metadata"] == {"topic": "cats"}
    assert found["results"][0]["similarity"] >= 0.5
    assert found["total"] == 1

    profile = sdk.call("profile", container_tag=tag, q=question)
    assert [hit["memory"] for hit in profile["searchResults"]["results"]] == [CAT]
    assert (profile["profile"]["static"], profile["profile"]["dynamic"]) == ([], [])

    for method in ("search.documents", "search.execute"):
        documents = sdk.call(method, q=question, container_tags=[tag], include_full_docs=True)
        (hit,) = documents["results"]
        assert (hit["documentId"], hit["content"]) == (made["id"], CAT)
        assert [chunk["content"] for chunk in hit["chunks"]] == [CAT]
        assert hit["chunks"][0]["isRelevant"] is True


@of_kinds(kind for kind in KINDS if kind.version != "3.14.0")
def test_searches_by_mode(
    sdk: Sdk, call: StubCaller, tag: str, done: Callable[[str], None]
) -> None:
    made = sdk.call("add", content=CAT, container_tag=tag)
    done(made["id"])
    create(call, tag, {"content": "Ferdinand is a cat who sleeps all day"})
    question = "Where does the cat Ferdinand sleep?"

    def texts(mode: str) -> set[tuple[str, str]]:
        found = sdk.call("search.memories", q=question, container_tag=tag, search_mode=mode)
        return {
            (name, hit[name])
            for hit in found["results"]
            for name in ("memory", "chunk")
            if hit.get(name)
        }

    known = ("memory", "Ferdinand is a cat who sleeps all day")
    assert texts("memories") == {("memory", CAT), known}
    assert texts("hybrid") == {("chunk", CAT), known}
    assert texts("documents") == {("chunk", CAT)}


def test_a_search_shows_what_is_asked_for_with_its_hits(
    sdk: Sdk, call: StubCaller, tag: str
) -> None:
    source = sdk.call("add", content="A source.", container_tag=tag, metadata={"s": 1})
    (first,) = create(
        call,
        tag,
        {"content": "Ada lives in Oslo", "sourceDocumentId": source["id"], "metadata": {"v": 1}},
    )
    updated = call(
        "Memories.UpdateMemory", containerTag=tag, id=first, newContent="Ada lives in Bergen"
    )
    found = sdk.call(
        "search.memories",
        q="Where does Ada live?",
        container_tag=tag,
        include={"documents": True, "relatedMemories": True, "summaries": True},
    )
    hit = next(one for one in found["results"] if one["id"] == updated["receipt"]["id"])
    assert (hit["memory"], hit["version"], hit["metadata"]) == ("Ada lives in Bergen", 2, {"v": 1})
    (parent,) = hit["context"]["parents"]
    assert (parent["memory"], parent["version"], parent["relation"]) == (
        "Ada lives in Oslo",
        -1,
        "updates",
    )
    (shown,) = hit["documents"]
    assert (shown["id"], shown["metadata"]) == (source["id"], {"s": 1})


def test_a_profile_has_traits_and_recent_memories(sdk: Sdk, call: StubCaller, tag: str) -> None:
    create(call, tag, {"content": "Is a nurse", "isStatic": True}, {"content": "Is in Rome"})
    found = sdk.call("profile", container_tag=tag)
    assert found["profile"]["static"] == ["Is a nurse"]
    assert found["profile"]["dynamic"] == ["Is in Rome"]
    assert found.get("searchResults") is None


@new_kinds
def test_a_profile_has_the_sections_asked_for(sdk: Sdk, call: StubCaller, tag: str) -> None:
    create(call, tag, {"content": "Is a nurse", "isStatic": True}, {"content": "Is in Rome"})
    only = sdk.call("profile", container_tag=tag, include=["static"])
    assert only["profile"] == {"static": ["Is a nurse"]}


# --- memories ------------------------------------------------------------------------


def test_a_memory_is_updated_and_forgotten(sdk: Sdk, call: StubCaller, tag: str) -> None:
    (first,) = create(call, tag, {"content": "Ada likes tea", "metadata": {"a": "b"}})
    updated = sdk.call(
        "memories.update_memory", container_tag=tag, id=first, new_content="Ada likes coffee"
    )
    assert (updated["memory"], updated["version"]) == ("Ada likes coffee", 2)
    assert updated["parentMemoryId"] == updated["rootMemoryId"] == first
    stored = memory(call, tag, updated["id"])
    assert (stored["content"], stored["metadata"]) == ("Ada likes coffee", {"a": "b"})

    forgotten = sdk.call(
        "memories.forget", container_tag=tag, content="Ada likes coffee", reason="a test"
    )
    assert forgotten == {"id": updated["id"], "forgotten": True}
    stored = memory(call, tag, updated["id"])
    assert (stored["forgotten"], stored["forgetReason"]) == (True, "a test")

    with pytest.raises(SdkError) as raised:
        sdk.call("memories.forget", container_tag=tag, id=updated["id"])
    assert (raised.value.kind, raised.value.status) == ("ConflictError", 409)
    assert raised.value.body["details"] == "MEMORY_FORGOTTEN"
    assert raised.value.requests == 1


@new_kinds
def test_a_memory_is_scheduled_to_be_forgotten(sdk: Sdk, call: StubCaller, tag: str) -> None:
    (first,) = create(call, tag, {"content": "The meeting is at noon"})
    updated = sdk.call(
        "memories.update_memory",
        container_tag=tag,
        id=first,
        new_content="The meeting is at one",
        forget_after="2099-06-01T00:00:00Z",
        forget_reason="it will be over",
        metadata={"room": 4},
        temporal_context={"documentDate": "2099-05-01", "eventDate": ["2099-05-30"]},
    )
    assert updated["forgetAfter"] == "2099-06-01T00:00:00.000Z"
    assert updated["forgetReason"] == "it will be over"
    assert updated["metadata"] == {"room": 4}
    stored = memory(call, tag, updated["id"])
    assert stored["forgetAfter"] == "2099-06-01T00:00:00Z"
    assert stored["temporalContext"] == {
        "documentDate": "2099-05-01",
        "eventDates": ["2099-05-30"],
    }
    cleared = sdk.call(
        "memories.update_memory",
        container_tag=tag,
        id=updated["id"],
        new_content="The meeting is at two",
        forget_after=None,
        temporal_context={"documentDate": None, "eventDate": []},
    )
    assert (cleared.get("forgetAfter"), cleared.get("forgetReason")) == (None, None)
    stored = memory(call, tag, cleared["id"])
    assert "forgetAfter" not in stored
    assert "temporalContext" not in stored


# --- errors, and what there is not -------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments", "keywords"),
    [
        ("settings.update", [], {"should_llm_filter": True}),
        ("connections.create", ["notion"], {}),
        ("connections.configure", ["x"], {"resources": []}),
        ("connections.delete_by_provider", ["notion"], {"container_tags": ["a"]}),
        ("connections.import", ["notion"], {}),
        ("connections.list_documents", ["notion"], {}),
        ("connections.resources", ["x"], {}),
    ],
)
def test_what_is_not_part_of_the_service_raises_at_once(
    sdk: Sdk, method: str, arguments: list[str], keywords: Json
) -> None:
    if method == "connections.import" and sdk.kind.python:
        method = "connections.import_"
    with pytest.raises(SdkError) as raised:
        sdk.call(method, *arguments, **keywords)
    assert (raised.value.kind, raised.value.status) == ("InternalServerError", 501)
    assert raised.value.body["details"] == "METHOD_NOT_FOUND"
    assert raised.value.requests == 1


def test_there_are_no_settings_and_connections(sdk: Sdk) -> None:
    assert sdk.call("settings.get") == {}
    assert sdk.call("connections.list") == []


def test_a_raw_answer_has_status_and_headers(sdk: Sdk, tag: str) -> None:
    added = sdk.raw("documents.add", content=CAT, container_tag=tag)
    assert added.status == 200
    assert added.headers["content-type"] == "application/json"
    assert added.headers["x-request-id"]
    assert added.headers["etag"].strip('"')
    deleted = sdk.raw("documents.delete", added.value["id"])
    assert deleted.status == 204
    assert "content-type" not in deleted.headers


def test_errors_have_the_classes_of_their_statuses(
    shared_server: Server, sdk: Sdk, tag: str
) -> None:
    def error(client: Sdk, method: str, *arguments: Any, **keywords: Any) -> SdkError:
        with pytest.raises(SdkError) as raised:
            client.call(method, *arguments, **keywords)
        assert raised.value.requests == 1
        return raised.value

    bad = error(sdk, "add", content=CAT, container_tag="no spaces", custom_id="x" * 200)
    assert (bad.kind, bad.status) == ("BadRequestError", 400)
    assert "containerTag: " in bad.body["error"]
    assert "customId: " in bad.body["error"]
    assert bad.body["details"] == "INVALID_REQUEST"

    base_url = f"http://{shared_server.http}"
    with running_sdk(sdk.kind, base_url, "pal_not_a_key") as stranger:
        unknown = error(stranger, "add", content=CAT)
        assert (unknown.kind, unknown.status) == ("AuthenticationError", 401)
        assert unknown.body["details"] == "KEY_INVALID"
    reader = shared_server.add_key(f"read-{sdk.kind}".replace(".", "-"), read_only=True)
    with running_sdk(sdk.kind, base_url, reader) as reading:
        refused = error(reading, "add", content=CAT, container_tag=tag)
        assert (refused.kind, refused.status) == ("PermissionDeniedError", 403)
        assert reading.call("documents.list")["memories"] == []

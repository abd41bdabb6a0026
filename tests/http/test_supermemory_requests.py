"""The requests of Supermemory's documentation, and the answers it prints for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import pytest

from tests.acceptance.callers import CallError, Json, StubCaller
from tests.harness import Server, tenant_of
from tests.waiting import wait_until

pytestmark = pytest.mark.processes


@pytest.fixture
def key(shared_server: Server, request: pytest.FixtureRequest) -> str:
    """One of a tenant that is this test's own."""
    return shared_server.add_key(tenant_of(request.node.name))


@pytest.fixture
def web(shared_server: Server, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"http://{shared_server.http}", headers={"Authorization": f"Bearer {key}"}
    ) as client:
        yield client


@pytest.fixture
def call(channel: grpc.Channel, key: str) -> StubCaller:
    return StubCaller(channel, key)


def send(web: httpx.Client, verb: str, path: str, body: Any = None) -> httpx.Response:
    """A request with a JSON body, whatever its verb."""
    return web.request(verb, path, json=body)


def put(call: StubCaller, custom_id: str, *tags: str, content: str = "text") -> str:
    made = call(
        "Documents.UpsertDocument", content=content, customId=custom_id, containerTags=list(tags)
    )
    return str(made["receipt"]["id"])


def read(call: StubCaller, name: str) -> Json:
    found: Json = call("Documents.GetDocument", id=name)["document"]
    return found


def remember(call: StubCaller, tag: str, content: str) -> str:
    made = call("Memories.CreateMemories", containerTag=tag, memories=[{"content": content}])
    return str(made["receipts"][0]["id"])


def test_a_document_is_updated(web: httpx.Client, call: StubCaller) -> None:
    made = put(call, "memory_id_123", content="Before")
    answer = send(
        web,
        "PATCH",
        "/v3/documents/memory_id_123",
        {"content": "After", "metadata": {"version": 2, "updated": True}},
    )
    assert (answer.status_code, answer.json()) == (200, {"id": made, "status": "queued"})
    written = read(call, made)
    assert (written["content"], written["metadata"]) == ("After", {"version": 2, "updated": True})


def test_a_custom_id_names_one_document(web: httpx.Client, call: StubCaller) -> None:
    first = send(
        web,
        "POST",
        "/v3/documents",
        {"content": "The first text", "customId": "user-note-001", "metadata": {"version": 1}},
    )
    second = send(
        web,
        "POST",
        "/v3/documents",
        {"content": "The second text", "customId": "user-note-001", "metadata": {"version": 2}},
    )
    assert first.status_code == second.status_code == 200
    assert set(first.json()) == {"id", "status", "customId"}
    assert first.json() == second.json()
    assert first.json()["status"] == "queued"
    assert first.json()["customId"] == "user-note-001"
    written = read(call, "user-note-001")
    assert (written["content"], written["metadata"]) == ("The second text", {"version": 2})


def test_a_document_is_deleted_once(web: httpx.Client, call: StubCaller) -> None:
    put(call, "memory_id_123")
    first = web.delete("/v3/documents/memory_id_123")
    assert (first.status_code, first.content) == (204, b"")
    assert "content-type" not in first.headers
    again = web.delete("/v3/documents/memory_id_123")
    assert again.status_code == 404
    with pytest.raises(CallError):
        read(call, "memory_id_123")


def test_documents_are_deleted_by_ids(web: httpx.Client, call: StubCaller) -> None:
    for number in (1, 2, 3):
        put(call, f"memory_id_{number}")
    answer = send(
        web,
        "DELETE",
        "/v3/documents/bulk",
        {"ids": ["memory_id_1", "memory_id_2", "memory_id_3", "non_existent_id"]},
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "deletedCount": 3,
        "errors": [{"id": "non_existent_id", "error": "Memory not found"}],
    }


def test_documents_are_deleted_by_container(web: httpx.Client, call: StubCaller) -> None:
    tags = ["user-123", "project-old", "archived-content"]
    items = [{"content": f"text {n}", "containerTags": [tags[n % 3]]} for n in range(45)]
    call("Documents.BatchUpsertDocuments", items=items)
    kept = put(call, "kept", "elsewhere")
    answer = send(web, "DELETE", "/v3/documents/bulk", {"containerTags": tags})
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "deletedCount": 45, "containerTags": tags}
    assert read(call, kept)["customId"] == "kept"


def test_a_document_is_marked_as_deleted(web: httpx.Client, call: StubCaller) -> None:
    made = put(call, "memory_id")
    answer = send(
        web,
        "PATCH",
        "/v3/documents/memory_id",
        {"metadata": {"deleted": True, "deletedAt": "2024-01-15T10:30:00Z", "deletedBy": "me"}},
    )
    assert (answer.status_code, answer.json()) == (200, {"id": made, "status": "queued"})
    others = send(
        web,
        "POST",
        "/v3/documents/list",
        {"filters": {"AND": [{"key": "deleted", "value": "true", "negate": True}]}},
    )
    assert others.json()["memories"] == []


def test_documents_are_deleted_in_batches(web: httpx.Client, call: StubCaller) -> None:
    ids = ["id1", "id2", "id3"]
    for name in ids:
        put(call, name)
    deleted = [
        send(web, "DELETE", "/v3/documents/bulk", {"ids": ids[start : start + 2]}).json()
        for start in range(0, 3, 2)
    ]
    assert sum(answer["deletedCount"] for answer in deleted) == 3


def test_a_memory_is_updated(web: httpx.Client, call: StubCaller) -> None:
    first = remember(call, "user_123", "John prefers dark mode")
    # The date of the example has passed, and those that have are refused.
    later = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "containerTag": "user_123",
        "newContent": "John now prefers light mode",
        "id": first,
        "content": "John prefers dark mode",
        "forgetAfter": later,
        "forgetReason": "temporary project deadline",
    }
    answer = send(web, "PATCH", "/v4/memories", body)
    assert answer.status_code == 200
    found = answer.json()
    assert found["id"].startswith("mem_")
    assert found["id"] != first
    assert datetime.fromisoformat(found["createdAt"]).tzinfo is not None
    assert found["forgetAfter"] == later.replace("Z", ".000Z")
    assert found["forgetReason"] == "temporary project deadline"
    assert found["memory"] == "John now prefers light mode"
    assert found["parentMemoryId"] == found["rootMemoryId"] == first
    assert found["version"] == 2

    body |= {"id": found["id"], "content": found["memory"], "forgetAfter": "2020-01-01T00:00:00Z"}
    past = send(web, "PATCH", "/v4/memories", body)
    assert (past.status_code, past.json()["details"]) == (400, "INVALID_REQUEST")
    assert past.json()["error"].startswith("forgetAfter: ")


def test_a_memory_is_forgotten(web: httpx.Client, call: StubCaller) -> None:
    first = remember(call, "user_123", "John prefers dark mode")
    # The example has no body, and so says neither what to forget nor where.
    nothing = web.delete("/v4/memories")
    assert nothing.status_code == 400
    assert "containerTag: must be given" in nothing.json()["error"]
    answer = send(web, "DELETE", "/v4/memories", {"containerTag": "user_123", "id": first})
    assert (answer.status_code, answer.json()) == (200, {"id": first, "forgotten": True})


def test_a_conversation_is_kept_and_sent_again(web: httpx.Client, call: StubCaller) -> None:
    said: list[Json] = [
        {"role": "user", "content": "Where is the key?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function"}]},
        {
            "role": "assistant",
            "name": "Ben",
            "content": [
                {"type": "text", "text": "Under the mat,"},
                {"type": "image_url", "image_url": {"url": "https://example.com/mat.png"}},
                {"type": "text", "text": "as always."},
            ],
        },
    ]
    body = {"conversationId": "chat-1", "containerTags": ["user_1"], "messages": said}
    first = send(web, "POST", "/v4/conversations", body)
    assert first.status_code == 200
    made = first.json()
    assert made == {"id": made["id"], "conversationId": "chat-1", "status": "queued"}
    said.append({"role": "user", "content": "Thanks!"})
    assert send(web, "POST", "/v4/conversations", body).json()["id"] == made["id"]
    messages = read(call, made["id"])["conversation"]["messages"]
    assert [(message["speaker"], message["text"]) for message in messages] == [
        ("user", "Where is the key?"),
        ("Ben", "Under the mat,\nas always."),
        ("user", "Thanks!"),
    ]
    content = web.get("/v3/documents/chat-1").json()["content"]
    assert content.startswith("user: Where is the key?\nBen: Under the mat,")


def test_memories_are_created_and_listed_with_their_history(
    web: httpx.Client, call: StubCaller
) -> None:
    source = put(call, "source", "user_1")
    body = {
        "containerTag": "user_1",
        "memories": [
            {"content": "Ada lives in Oslo", "metadata": {"sure": True}},
            {
                "content": "Ada is a nurse",
                "isStatic": True,
                "forgetAfter": "2099-01-01T00:00:00Z",
                "forgetReason": "she retires",
                "temporalContext": {"documentDate": "2024-01-01", "eventDate": ["2024-02-02"]},
            },
        ],
    }
    created = send(web, "POST", "/v4/memories", body)
    assert created.status_code == 201
    assert created.json()["documentId"] is None
    oslo, nurse = created.json()["memories"]
    assert (oslo["memory"], oslo["isStatic"], oslo["forgetAfter"]) == (
        "Ada lives in Oslo",
        False,
        None,
    )
    assert (nurse["isStatic"], nurse["forgetReason"]) == (True, "she retires")
    assert nurse["forgetAfter"] == "2099-01-01T00:00:00.000Z"
    bergen = send(
        web,
        "PATCH",
        "/v4/memories",
        {"containerTag": "user_1", "id": oslo["id"], "newContent": "Ada lives in Bergen"},
    ).json()
    call(
        "Memories.CreateMemories",
        containerTag="user_1",
        memories=[{"content": "From a document", "sourceDocumentId": source}],
    )

    listed = send(
        web,
        "POST",
        "/v4/memories/list",
        {"containerTags": ["user_1"], "limit": 2, "page": 1, "order": "asc"},
    )
    assert listed.status_code == 200
    assert listed.json()["pagination"] == {
        "currentPage": 1,
        "limit": 2,
        "totalItems": 3,
        "totalPages": 2,
    }
    first, second = listed.json()["memoryEntries"]
    assert (first["id"], first["memory"], first["version"]) == (
        bergen["id"],
        "Ada lives in Bergen",
        2,
    )
    assert [old["memory"] for old in first["history"]] == ["Ada lives in Oslo"]
    assert first["metadata"] == {"sure": True}
    assert first["memoryRelations"] == {oslo["id"]: "updates"}
    assert (second["history"], second["isStatic"], second["isForgotten"]) == ([], True, False)
    assert second["temporalContext"] == {
        "documentDate": "2024-01-01",
        "eventDate": ["2024-02-02"],
    }
    rest = send(
        web, "POST", "/v4/memories/list", {"containerTags": ["user_1"], "limit": "2", "page": "2"}
    ).json()
    assert len(rest["memoryEntries"]) == 1
    by_source = send(web, "POST", "/v4/memories/list", {"containerTag": "user_1"}).json()
    assert [entry["documentIds"] for entry in by_source["memoryEntries"]] == [[source], [], []]


def test_memories_are_forgotten_by_what_they_say(web: httpx.Client, call: StubCaller) -> None:
    gone = remember(call, "user_1", "Project Titan is late")
    kept = remember(call, "user_1", "Lunch is at noon")
    body: Json = {"containerTag": "user_1", "query": "Project Titan", "dryRun": True}
    preview = send(web, "POST", "/v4/memories/forget-matching", body).json()
    (candidate,) = preview["candidates"]
    assert (candidate["id"], candidate["memory"]) == (gone, "Project Titan is late")
    assert 0.5 <= candidate["score"] <= 1
    assert (preview["dryRun"], preview["count"], preview["forgetBatchId"]) == (True, 1, None)

    body["dryRun"] = False
    done = send(web, "POST", "/v4/memories/forget-matching", body | {"reason": "over"}).json()
    assert [one["id"] for one in done["forgotten"]] == [gone]
    assert done["forgetBatchId"]
    read_back = call("Memories.GetMemory", containerTag="user_1", id=gone)["memory"]
    assert (read_back["forgotten"], read_back["forgetReason"]) == (True, "over")
    assert not call("Memories.GetMemory", containerTag="user_1", id=kept)["memory"]["forgotten"]


def test_too_many_matches_forget_nothing(web: httpx.Client, call: StubCaller) -> None:
    ids = [remember(call, "user_1", f"Project Titan has part {n}") for n in range(3)]
    body = {"containerTag": "user_1", "query": "Project Titan", "maxForget": 2}
    refused = send(web, "POST", "/v4/memories/forget-matching", body)
    assert (refused.status_code, refused.json()["details"]) == (409, "TOO_MANY_MATCHES")
    assert refused.headers["x-should-retry"] == "false"
    for name in ids:
        found = call("Memories.GetMemory", containerTag="user_1", id=name)["memory"]
        assert not found["forgotten"]


def test_memories_are_forgotten_by_ids(web: httpx.Client, call: StubCaller) -> None:
    first, second = remember(call, "user_1", "one"), remember(call, "user_1", "two")
    body: Json = {"containerTag": "user_1", "ids": [first, second]}
    done = send(web, "POST", "/v4/memories/forget-matching", body)
    assert done.status_code == 200
    assert [one["memory"] for one in done.json()["forgotten"]] == ["one", "two"]
    again = send(web, "POST", "/v4/memories/forget-matching", body)
    assert (again.status_code, again.json()["details"]) == (409, "MEMORY_FORGOTTEN")


def test_container_tags_are_listed_read_and_deleted(web: httpx.Client, call: StubCaller) -> None:
    put(call, "a", "team/one:two")
    put(call, "b", "team")
    remember(call, "team", "A team has members")
    listed = web.get("/v3/container-tags/list").json()
    assert [(one["containerTag"], one["documentCount"], one["memoryCount"]) for one in listed] == [
        ("team", 1, 1),
        ("team/one:two", 1, 0),
    ]
    one = web.get("/v3/container-tags/team%2Fone%3Atwo").json()
    assert (one["containerTag"], one["documentCount"]) == ("team/one:two", 1)
    assert web.get("/v3/container-tags/tea").json()["details"] == "CONTAINER_NOT_FOUND"
    deleted = web.delete("/v3/container-tags/team")
    assert deleted.json() == {
        "success": True,
        "containerTag": "team",
        "deletedDocumentsCount": 1,
        "deletedMemoriesCount": 1,
    }
    assert web.get("/v3/container-tags/team").status_code == 404
    assert web.delete("/v3/container-tags/team").status_code == 404
    for verb, path in (("PATCH", "/v3/container-tags/x"), ("POST", "/v3/container-tags/merge")):
        refused = send(web, verb, path, {})
        assert (refused.status_code, refused.json()["details"]) == (501, "METHOD_NOT_FOUND")


def test_a_repeated_request_is_done_once(web: httpx.Client, call: StubCaller) -> None:
    key = {"Idempotency-Key": "any text of the caller's"}
    body = {"content": "once", "containerTag": "user_1"}
    first, again = (web.post("/v3/documents", json=body, headers=key).json() for _ in range(2))
    assert first["id"] == again["id"]
    listed = send(web, "POST", "/v3/documents/list", {"containerTags": ["user_1"]}).json()
    assert listed["pagination"]["totalItems"] == 1
    other = web.post("/v3/documents", json=body | {"content": "twice"}, headers=key)
    assert (other.status_code, other.json()["details"]) == (400, "REQUEST_ID_REUSED")


def test_a_document_is_written_only_as_it_was_read(web: httpx.Client, call: StubCaller) -> None:
    name = put(call, "note")
    etag = web.get(f"/v3/documents/{name}").headers["etag"]
    path, condition = f"/v3/documents/{name}", {"If-Match": etag}
    assert web.patch(path, json={"content": "first"}, headers=condition).status_code == 200
    late = web.patch(path, json={"content": "second"}, headers=condition)
    assert (late.status_code, late.json()["details"]) == (412, "ETAG_MISMATCH")
    assert web.delete(path, headers=condition).status_code == 412
    assert read(call, name)["content"] == "first"


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/v3/nothing", 404),
        ("POST", "/v4/documents", 404),
        ("GET", "/v3/documents/", 404),
        ("GET", "/v3/documents", 405),
        ("PUT", "/v3/documents/x", 405),
        ("GET", "/v4/search", 405),
    ],
)
def test_paths_that_there_are_not(web: httpx.Client, verb: str, path: str, status: int) -> None:
    answer = web.request(verb, path)
    assert answer.status_code == status
    assert answer.json()["details"] == "METHOD_NOT_FOUND"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] == "false"
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("custom_id", ["a/b", "file:x|y", "100%", "bulk", "ключ 🗝", "%2F", "."])
def test_any_custom_id_can_be_part_of_a_path(
    web: httpx.Client, call: StubCaller, custom_id: str
) -> None:
    made = put(call, custom_id)
    name = quote(custom_id, safe="").replace(".", "%2E")
    # What is also a path of its own is reached by the document's id.
    name = made if custom_id == "bulk" else name
    found = web.get(f"/v3/documents/{name}").json()
    assert (found["id"], found["customId"]) == (made, custom_id)


def test_null_removes_a_key_of_the_metadata(web: httpx.Client, call: StubCaller) -> None:
    put(call, "note")
    path = "/v3/documents/note"
    send(web, "PATCH", path, {"metadata": {"kept": 1, "gone": ["x"], "also": "y"}})
    send(web, "PATCH", path, {"metadata": {"gone": None, "also": None}})
    assert read(call, "note")["metadata"] == {"kept": 1}


def test_a_date_says_when_a_document_was_written(web: httpx.Client, call: StubCaller) -> None:
    body = {"content": "old", "documentDate": "2019-05-06"}
    made = send(web, "POST", "/v3/documents", body).json()
    assert read(call, made["id"])["documentDate"] == "2019-05-06T00:00:00Z"
    send(web, "PATCH", f"/v3/documents/{made['id']}", {"documentDate": "2020-01-01T12:00:00+02:00"})
    assert read(call, made["id"])["documentDate"] == "2020-01-01T10:00:00Z"


def test_chunks_around_a_hit_are_shown_with_it(web: httpx.Client, call: StubCaller) -> None:
    paragraphs = [
        f"{subject} " + "and more of that, as such texts have many words of no weight. " * 12
        for subject in ("Rivers flow to the sea.", "Ferdinand is a cat.", "Bread is baked.")
    ]
    call("Documents.UpsertDocument", content="\n\n".join(paragraphs), customId="x", wait=True)
    body = {"q": "Which cat is Ferdinand?", "limit": 1, "onlyMatchingChunks": False}
    (result,) = send(web, "POST", "/v3/search", body).json()["results"]
    positions = [chunk["position"] for chunk in result["chunks"]]
    assert positions == sorted(positions)
    assert len(positions) > 1
    (relevant,) = [chunk for chunk in result["chunks"] if chunk["isRelevant"]]
    assert "Ferdinand" in relevant["content"]
    assert all(chunk["score"] == 0 for chunk in result["chunks"] if not chunk["isRelevant"])
    alone = send(web, "POST", "/v3/search", body | {"onlyMatchingChunks": True}).json()
    assert [len(one["chunks"]) for one in alone["results"]] == [1]


def test_a_failed_document_is_shown_with_its_error(web: httpx.Client) -> None:
    made = web.post("/v3/documents/file", files={"file": ("broken.pdf", b"%PDF-1.7 broken")}).json()

    def failed() -> bool:
        return bool(web.get(f"/v3/documents/{made['id']}").json()["status"] == "failed")

    wait_until(failed)
    listed = web.get("/v3/documents/processing", params={"view": "all"}).json()
    (found,) = listed["documents"]
    assert (found["id"], found["status"], found["stuck"]) == (made["id"], "failed", False)
    assert found["errorMessage"]
    assert listed["pagination"]["totalItems"] == 1
    assert web.get("/v3/documents/processing").json() == {"documents": [], "totalCount": 0}


def test_a_document_is_shown_with_its_memories(web: httpx.Client, call: StubCaller) -> None:
    source = put(call, "source", "user_1")
    assert "memories" not in web.get("/v3/documents/source").json()
    call(
        "Memories.CreateMemories",
        containerTag="user_1",
        memories=[{"content": "From it", "sourceDocumentId": source}, {"content": "Not from it"}],
    )
    (memory,) = web.get("/v3/documents/source").json()["memories"]
    assert (memory["memory"], memory["isLatest"], memory["sourceCount"]) == ("From it", True, 1)


def test_the_chunks_of_a_document_are_listed(web: httpx.Client, call: StubCaller) -> None:
    text = "\n\n".join(f"Part {n}. " + "Each part has words of its own. " * 30 for n in range(9))
    made = call("Documents.UpsertDocument", content=text, customId="long", wait=True)
    found = web.get("/v3/documents/long/chunks").json()
    assert found["documentId"] == made["receipt"]["id"]
    assert found["total"] == len(found["chunks"]) > 1
    assert [chunk["position"] for chunk in found["chunks"]] == list(range(found["total"]))
    assert found["chunks"][0]["content"].startswith("Part 0.")
    assert web.get("/v3/documents/none/chunks").status_code == 404


def test_totals_count_what_the_key_may_see(
    shared_server: Server, web: httpx.Client, call: StubCaller, request: pytest.FixtureRequest
) -> None:
    for number in range(3):
        put(call, f"mine-{number}", "mine")
        put(call, f"other-{number}", "other")
        remember(call, "mine", f"mine {number}")
        remember(call, "other", f"other {number}")
    limited = shared_server.add_key(
        tenant_of(request.node.name), containers=("mine",), read_only=True
    )
    headers = {"Authorization": f"Bearer {limited}"}

    def total(verb: str, path: str, body: Any = None) -> int:
        answer = web.request(verb, path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        if "totalCount" in found:
            return int(found["totalCount"])
        return int(found["pagination"]["totalItems"])

    assert total("POST", "/v3/documents/list", {}) == 3
    assert total("POST", "/v3/documents/list", {"page": 9, "limit": 1}) == 3
    assert total("GET", "/v3/documents/processing?view=all") <= 3
    assert total("POST", "/v4/memories/list", {"containerTags": ["mine"]}) == 3
    for path in ("/v3/documents/list", "/v4/memories/list"):
        refused = web.post(path, json={"containerTags": ["other"]}, headers=headers)
        assert (refused.status_code, refused.json()["details"]) == (403, "CONTAINER_NOT_ALLOWED")
    tags = web.get("/v3/container-tags/list", headers=headers).json()
    assert [tag["containerTag"] for tag in tags] == ["mine"]
    assert web.get("/v3/container-tags/other", headers=headers).status_code == 404


def test_a_custom_id_of_several_containers_is_found_in_the_one_named(
    web: httpx.Client, call: StubCaller
) -> None:
    one, two = put(call, "profile", "user_1"), put(call, "profile", "user_2")
    unclear = web.get("/v3/documents/profile")
    assert (unclear.status_code, unclear.json()["details"]) == (409, "AMBIGUOUS_CUSTOM_ID")
    there = {"containerTag": "user_2"}
    assert web.get("/v3/documents/profile", params=there).json()["id"] == two
    assert web.get("/v3/documents/profile/chunks", params=there).json()["documentId"] == two
    changed = web.patch("/v3/documents/profile", params=there, json={"content": "new"})
    assert changed.json()["id"] == two
    bulk = send(web, "DELETE", "/v3/documents/bulk", {"ids": ["profile"]}).json()
    assert (bulk["deletedCount"], len(bulk["errors"])) == (0, 1)
    assert web.delete("/v3/documents/profile", params=there).status_code == 204
    assert web.get("/v3/documents/profile").json()["id"] == one
    wrong = web.delete("/v3/documents/profile", params={"containerTags": "user_2"})
    assert wrong.json()["error"] == "containerTags: is not known"

"""Who calls, for how long, and what every answer says of it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from palimpsest.v1.documents_pb2 import DeleteDocumentRequest, ListDocumentsRequest
from service.http.protocol import MAX_PIPELINED
from tests.client import Client
from tests.http.wire import Answer, Caller, calling
from tests.inprocess import ManualClock, Service
from tests.rpc.conftest import Connect
from tests.waiting import until

DOCUMENTS = "/v1/documents"
TEXT = {"content": "x"}


async def made(caller: Caller, name: str) -> Mapping[str, Any]:
    """The receipt of a new document."""
    answer = await caller.call("POST", DOCUMENTS, {"content": name, "customId": name})
    receipt: Mapping[str, Any] = answer.json["receipt"]
    return receipt


# --- keys --------------------------------------------------------------------------


async def test_a_call_without_a_valid_key_is_not_authenticated(
    service: Service, clock: ManualClock
) -> None:
    expired = service.create_key(expires_at=clock() + 1_000_000)
    revoked = service.create_key()
    async with calling(service.http, expired) as caller:
        assert (await caller.call("GET", "/v1/containers")).status == 200
    clock.advance(2)
    service.revoke_key(revoked)
    for header, reason in (
        ("", "KEY_MISSING"),
        ("Basic dXNlcjpwYXNz", "KEY_MISSING"),
        ("Bearer", "KEY_MISSING"),
        ("Bearer ", "KEY_MISSING"),
        ("pal_x_y", "KEY_MISSING"),
        ("Bearer x", "KEY_INVALID"),
        ("Bearer pal_x_y", "KEY_INVALID"),
        ("Bearer " + "ä" * 300, "KEY_INVALID"),
        (f"Bearer {revoked[:-1]}", "KEY_INVALID"),
        (f"Bearer {revoked}", "KEY_INVALID"),
        (f"Bearer {expired}", "KEY_INVALID"),
    ):
        async with calling(service.http) as caller:
            answer = await caller.call("POST", DOCUMENTS, TEXT, authorization=header)
            assert (answer.status, answer.reason) == (401, reason), header
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["x-should-retry"] == "false"
            assert answer.headers["x-request-id"]
            answer = await caller.call("GET", "/v1/containers", authorization=header)
            assert answer.status == 401


async def test_a_key_that_may_only_read_writes_nothing(service: Service, key: str) -> None:
    async with calling(service.http, key) as caller:
        await made(caller, "there")
    async with calling(service.http, service.create_key(read_only=True)) as caller:
        for verb, path, body in (
            ("POST", DOCUMENTS, TEXT),
            ("PATCH", f"{DOCUMENTS}/there", {"title": "x"}),
            ("DELETE", f"{DOCUMENTS}/there", None),
            ("POST", "/v1/memories", {"memories": [{"content": "x"}], "containerTag": "a"}),
            ("POST", "/palimpsest.v1.Documents/DeleteDocument", {"id": "there"}),
        ):
            answer = await caller.call(verb, path, body)
            assert answer.status == 403, path
            assert answer.headers["x-should-retry"] == "false"
        assert (await caller.call("GET", f"{DOCUMENTS}/there")).status == 200
        assert (await caller.call("POST", f"{DOCUMENTS}:list", {})).status == 200


async def test_a_limited_key_counts_what_it_may_see(service: Service, key: str) -> None:
    async with calling(service.http, service.create_key(containers=["mine"])) as limited:

        async def seen() -> list[Any]:
            documents = await limited.call("POST", f"{DOCUMENTS}:list", {"pageSize": 1})
            containers = await limited.call("GET", "/v1/containers?pageSize=10")
            memories = await limited.call("POST", "/v1/memories:list", {"containerTags": ["mine"]})
            found = await limited.call(
                "POST", f"{DOCUMENTS}:search", {"query": "x", "containerTags": ["mine"]}
            )
            counted = await limited.call("POST", "/v3/documents/list", {"limit": 1})
            assert counted.status == 200
            answers = (documents, containers, memories, found)
            assert [answer.status for answer in answers] == [200] * 4
            return [
                documents.json["documents"],
                bool(documents.json["nextPageToken"]),
                containers.json["containers"],
                memories.json["memories"],
                found.json["hits"],
                counted.json["pagination"],
            ]

        async with calling(service.http, key) as owner:
            for tag in ("mine", "mine", "theirs"):
                await owner.call("POST", DOCUMENTS, {"content": "x", "containerTags": [tag]})
            before = await seen()
            assert before[5]["totalItems"] == 2
            for number in range(5):
                await owner.call(
                    "POST", DOCUMENTS, {"content": f"x{number}", "containerTags": ["theirs"]}
                )
            await owner.call("POST", "/v1/memories", {"memories": [TEXT], "containerTag": "theirs"})
        assert await seen() == before
        for tag in ("theirs", "nowhere"):
            answer = await limited.call("POST", f"{DOCUMENTS}:list", {"containerTags": [tag]})
            assert (answer.status, answer.reason) == (403, "CONTAINER_NOT_ALLOWED")
            assert "theirs" not in answer.body.decode().replace(f'"{tag}"', "").replace(tag, "")


async def test_page_tokens_are_of_one_key_s_containers_and_both_transports(
    service: Service, key: str, client: Client, connect: Connect
) -> None:
    async with calling(service.http, key) as owner:
        for name in ("a", "b", "c"):
            await made(owner, name)
        first = await owner.call("POST", f"{DOCUMENTS}:list", {"pageSize": 2})
        token = first.json["nextPageToken"]
        page = await client.documents.ListDocuments(
            ListDocumentsRequest(page_size=2, page_token=token)
        )
        assert len(page.documents) == 1
    async with calling(service.http, service.create_key(containers=["other"])) as limited:
        answer = await limited.call(
            "POST", f"{DOCUMENTS}:list", {"pageSize": 2, "pageToken": token}
        )
        assert (answer.status, answer.reason) == (400, "INVALID_PAGE_TOKEN")


async def test_a_key_that_is_revoked_ends_its_streams(service: Service, key: str) -> None:
    async with calling(service.http, key) as caller:
        await made(caller, "watched")
        await caller.send(caller.request("GET", f"{DOCUMENTS}/watched:watch"))
        status, headers = await caller.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert headers["x-request-id"]
        assert (await caller.part()).startswith(b"event: state\n")
        service.revoke_key(key)
        last = await caller.part()
        assert last.startswith(b"event: error\n")
        assert b"KEY_INVALID" in last
        assert await caller.part() == b""
        assert (await caller.call("GET", "/v1/containers")).status == 401


async def test_a_flood_without_a_key_ends_its_connection_only(service: Service, key: str) -> None:
    async with calling(service.http, key) as honest, calling(service.http) as hostile:
        assert (await honest.call("GET", "/v1/containers")).status == 200
        request = hostile.request("GET", "/v1/containers")
        statuses = set()
        # More at once than it earns meanwhile; it is refused, and then closed.
        for _ in range(200):
            try:
                await hostile.send(request * MAX_PIPELINED)
                statuses |= {(await hostile.answer()).status for _ in range(MAX_PIPELINED)}
            except (ConnectionError, asyncio.IncompleteReadError):
                break
        else:
            raise AssertionError(f"it was never closed: {statuses}")
        assert statuses <= {401, 503}
        assert await hostile.ended() == b""
        assert (await honest.call("GET", "/v1/containers")).status == 200


# --- every answer ---------------------------------------------------------------------


async def test_every_answer_has_an_id_and_every_failure_says_whether_to_repeat_it(
    caller: Caller, service: Service
) -> None:
    receipt = await made(caller, "one")
    seen: list[Answer] = []
    for verb, path, body, status in (
        ("GET", f"{DOCUMENTS}/one", None, 200),
        ("GET", f"{DOCUMENTS}/none", None, 404),
        ("GET", "/nothing", None, 404),
        ("PUT", DOCUMENTS, None, 405),
        ("POST", DOCUMENTS, {}, 400),
        ("POST", DOCUMENTS, {**TEXT, "customId": "one", "mode": "UPSERT_MODE_CREATE_ONLY"}, 409),
        ("PATCH", f"{DOCUMENTS}/one", {"title": "x", "etag": "another"}, 409),
        ("POST", "/palimpsest.v1.Documents/GetDocument", {"id": "none"}, 404),
        ("GET", "/health", None, 200),
        ("GET", "/openapi.json", None, 200),
    ):
        answer = await caller.call(verb, path, body)
        assert answer.status == status, (path, answer.body)
        assert answer.headers["x-request-id"], path
        assert answer.headers["date"], path
        assert answer.headers.get("x-should-retry") == (None if status == 200 else "false"), path
        seen.append(answer)
    ids = [answer.headers["x-request-id"] for answer in seen]
    assert len(set(ids)) == len(ids)
    assert seen[0].headers["etag"] == f'"{receipt["etag"]}"'
    assert seen[1].json["error"]["status"] == "NOT_FOUND"
    assert seen[7].json["code"] == "not_found"


# --- conditions and repeats --------------------------------------------------------------


async def test_a_condition_holds_by_header_as_by_field(caller: Caller) -> None:
    etag = (await made(caller, "one"))["etag"]
    target = f"{DOCUMENTS}/one"
    stale = await caller.call("PATCH", target, {"title": "x"}, if_match='"stale"')
    assert (stale.status, stale.reason) == (412, "ETAG_MISMATCH")
    both = await caller.call("PATCH", target, {"title": "x", "etag": "b"}, if_match='"a"')
    assert (both.status, both.fields) == (400, ["etag"])
    changed = await caller.call("PATCH", target, {"title": "x"}, if_match=f'"{etag}"')
    assert changed.status == 200
    assert changed.headers["etag"] not in ("", f'"{etag}"')
    gone = await caller.call("DELETE", target, if_match=f'"{etag}"')
    assert gone.status == 412
    gone = await caller.call("DELETE", target, if_match=changed.headers["etag"])
    assert gone.status == 200


async def test_a_repeat_with_the_same_key_answers_the_first_receipt(
    caller: Caller, client: Client
) -> None:
    identifier = str(uuid.uuid4())
    for key in (identifier, identifier.upper(), "any text", "x" * 255, '"quoted"'):
        body = {"content": f"of {key}".lower()}
        first = await caller.call("POST", DOCUMENTS, body, idempotency_key=key)
        again = await caller.call("POST", DOCUMENTS, body, idempotency_key=key)
        assert (first.status, first.json) == (200, again.json), key
        other = await caller.call("POST", DOCUMENTS, TEXT, idempotency_key=key)
        assert (other.status, other.reason) == (400, "REQUEST_ID_REUSED"), key
    long = await caller.call("POST", DOCUMENTS, TEXT, idempotency_key="x" * 256)
    assert (long.status, long.fields) == (400, ["Idempotency-Key"])
    # The same id is the same call over gRPC.
    receipt = await client.put(f"of {identifier}", request_id=identifier)
    first = await caller.call(
        "POST", DOCUMENTS, {"content": f"of {identifier}"}, idempotency_key=identifier
    )
    assert first.json["receipt"]["id"] == receipt.id
    with pytest.raises(grpc.aio.AioRpcError):
        await client.documents.DeleteDocument(
            DeleteDocumentRequest(id=receipt.id, request_id=identifier)
        )


# --- deadlines ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "value"),
    [("grpc_timeout", "1n"), ("connect_timeout_ms", "0"), ("x_stainless_timeout", "0.000001")],
)
async def test_a_call_whose_time_is_over_does_nothing(
    caller: Caller, header: str, value: str
) -> None:
    for path, body in ((DOCUMENTS, TEXT), (f"{DOCUMENTS}:batchUpsert", {"items": [TEXT]})):
        answer = await caller.call("POST", path, body, **{header: value})
        assert (answer.status, answer.reason) == (504, "DEADLINE_EXCEEDED")
        assert answer.headers["x-should-retry"] == "false"
    listed = await caller.call("POST", f"{DOCUMENTS}:list", {})
    assert (listed.status, listed.json["documents"]) == (200, [])


async def test_a_stream_ends_at_its_caller_s_deadline(caller: Caller) -> None:
    await made(caller, "watched")
    await caller.send(caller.request("GET", f"{DOCUMENTS}/watched:watch", grpc_timeout="200m"))
    assert (await caller.head())[0] == 200
    events = []
    while part := await caller.part():
        events.append(part)
    assert events[0].startswith(b"event: state\n")
    assert events[-1].startswith(b"event: error\n")
    assert b"DEADLINE_EXCEEDED" in events[-1]


async def test_timeouts_that_are_none_are_ignored(caller: Caller) -> None:
    for header, value in (
        ("grpc_timeout", "soon"),
        ("grpc_timeout", "-1S"),
        ("grpc_timeout", "999999999S"),
        ("connect_timeout_ms", "-5"),
        ("connect_timeout_ms", "9" * 300),
        ("x_stainless_timeout", "nan"),
        ("x_stainless_timeout", "inf"),
        ("x_stainless_timeout", "-1"),
    ):
        answer = await caller.call("GET", "/v1/containers", **{header: value})
        assert answer.status == 200, (header, value)


# --- stopping -----------------------------------------------------------------------------


async def test_while_it_stops_callers_hear_so_and_connections_end(
    service: Service, key: str
) -> None:
    async with (
        calling(service.http, key) as kept,
        calling(service.http, key) as watching,
        calling(service.http) as monitor,
        calling(service.http, key) as idle,
        calling(service.http, key) as sending,
    ):
        assert (await monitor.call("GET", "/health")).json == {"status": "SERVING"}
        assert (await idle.call("GET", "/v1/containers")).status == 200
        await made(kept, "watched")
        await watching.send(watching.request("GET", f"{DOCUMENTS}/watched:watch"))
        await watching.head()
        await watching.part()
        body = b'{"content": "x"}'
        request = sending.request("POST", DOCUMENTS, body)
        await sending.send(request[:-5])
        await until(lambda: service.server.calls_in_progress == 2)

        stopping = asyncio.create_task(service.server.drain(5))
        last = b""
        while part := await watching.part():
            last = part
        assert last.startswith(b"event: error\n")
        assert b"SHUTTING_DOWN" in last
        answer = await sending.answer()
        assert (answer.status, answer.reason) == (503, "SHUTTING_DOWN")
        answer = await kept.call("GET", "/v1/containers")
        assert (answer.status, answer.reason) == (503, "SHUTTING_DOWN")
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-should-retry"] == "true"
        assert int(answer.headers["retry-after"]) >= 1
        for one in (kept, watching, monitor, idle, sending):
            assert await one.ended() == b""
        await stopping
        assert service.server.calls_in_progress == 0


@pytest.mark.parametrize("path", ["/health", "/readyz"])
async def test_health_says_that_it_does_not_serve(
    service: Service, stranger: Caller, path: str
) -> None:
    head = await stranger.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    # It is asked for the answer, and not given anything.
    assert (await stranger.call("GET", path, b"x" * 100)).status == 200
    assert (await stranger.call("GET", path)).status == 200
    service.server.is_serving = False
    async with calling(service.http) as caller:
        answer = await caller.call("GET", path)
        alive = await caller.call("GET", "/healthz")
    assert (answer.status, answer.json) == (503, {"status": "NOT_SERVING"})
    assert (alive.status, alive.json) == (200, {"status": "ALIVE"})

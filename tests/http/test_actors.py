"""On whose behalf a call is made, as a header of every kind of path."""

from __future__ import annotations

from typing import Any, Final

import pytest

from palimpsest.v1.changes_pb2 import ListChangesRequest
from service.core.actors import MAX_ACTOR
from tests.client import Client
from tests.http.wire import Caller

CONNECT: Final = "/palimpsest.v1.Memories/CreateMemories"

WRITES: Final[list[tuple[str, Any]]] = [
    ("/v1/memories", {"memories": [{"content": "x"}]}),
    ("/v1/documents", {"content": "x"}),
    (CONNECT, {"memories": [{"content": "x"}]}),
    ("/v3/documents", {"content": "x"}),
    ("/v4/memories", {"memories": [{"content": "x"}], "containerTag": "a"}),
]


async def actors(client: Client) -> list[str]:
    page = await client.changes.ListChanges(ListChangesRequest(page_size=1000))
    return [change.actor for change in page.changes]


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_the_header_names_the_actor(
    caller: Caller, client: Client, path: str, body: Any
) -> None:
    answer = await caller.call("POST", path, body, **{"Palimpsest-Actor": "chat:ann"})
    assert answer.status in (200, 201), answer.body
    answer = await caller.call("POST", path, body)
    assert answer.status in (200, 201), answer.body
    assert await actors(client) == ["chat:ann", ""]


async def test_the_feed_and_a_version_show_it(caller: Caller) -> None:
    body = {"memories": [{"content": "x"}]}
    made = await caller.call("POST", "/v1/memories", body, palimpsest_actor="chat:ann")
    name = made.json["receipts"][0]["id"]
    assert (await caller.call("GET", f"/v1/memories/{name}")).json["memory"]["actor"] == "chat:ann"
    [change] = (await caller.call("GET", "/v1/changes")).json["changes"]
    assert change["actor"] == "chat:ann"


async def test_a_repetition_keeps_the_first_actor(caller: Caller, client: Client) -> None:
    body = {"memories": [{"content": "x"}]}
    for actor in ("one", "two"):
        answer = await caller.call(
            "POST", "/v1/memories", body, palimpsest_actor=actor, idempotency_key="k"
        )
        assert answer.status == 200
    assert await actors(client) == ["one"]


BAD: Final = {
    "empty": [b""],
    "long": [b"x" * (MAX_ACTOR + 1)],
    "as long as a head may be": [b"x" * 15_000],
    "UTF-8": ["Zoë".encode()],
    "no UTF-8": [b"Zo\xeb"],
    "a tab": [b"a\tb"],
    "two": [b"one", b"other"],
    "one and none": [b"one", b""],
}


@pytest.mark.parametrize("path", ["/v1/memories", "/v4/memories", CONNECT])
@pytest.mark.parametrize("values", BAD.values(), ids=BAD)
async def test_what_can_be_no_actor_is_refused_and_nothing_is_done(
    caller: Caller, client: Client, path: str, values: list[bytes]
) -> None:
    body = b'{"memories": [{"content": "x"}], "containerTag": "a"}'
    given = b"".join(b"\r\npalimpsest-actor: " + value for value in values)
    request = caller.request("POST", path, body)
    await caller.send(request.replace(b"\r\n\r\n", given + b"\r\n\r\n", 1))
    answer = await caller.answer()
    assert answer.status == 400
    assert b"palimpsest-actor" in answer.body
    if path == "/v1/memories":
        assert (answer.reason, answer.fields) == ("INVALID_REQUEST", ["palimpsest-actor"])
    # The connection is as good as before.
    assert (await caller.call("POST", path, body, palimpsest_actor="a")).status in (200, 201)
    assert await actors(client) == ["a"]


@pytest.mark.parametrize("value", [b"a\0b", b"a\x01b", b"a\x7fb"])
async def test_control_characters_are_no_header_of_http(
    caller: Caller, client: Client, value: bytes
) -> None:
    request = caller.request("POST", "/v1/memories", b'{"memories": [{"content": "x"}]}')
    await caller.send(
        request.replace(b"\r\n\r\n", b"\r\npalimpsest-actor: " + value + b"\r\n\r\n", 1)
    )
    assert (await caller.answer()).status == 400
    assert await actors(client) == []


async def test_the_same_twice_is_one(caller: Caller, client: Client) -> None:
    request = caller.request(
        "POST", "/v1/memories", b'{"memories": [{"content": "x"}]}', palimpsest_actor="a b"
    )
    again = b"\r\nPalimpsest-Actor:  a b \r\n\r\n"
    await caller.send(request.replace(b"\r\n\r\n", again, 1))
    assert (await caller.answer()).status == 200
    assert await actors(client) == ["a b"]

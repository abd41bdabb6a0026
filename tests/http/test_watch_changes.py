"""WatchChanges as server-sent events, and how they continue on another connection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.http.wire import Caller, calling
from tests.inprocess import Service
from tests.waiting import until

WATCH = "/v1/changes:watch"


@dataclass(frozen=True)
class Event:
    """One event; `data` is its JSON."""

    id: str
    name: str
    data: Any


async def event(caller: Caller) -> Event:
    """The next event of the stream."""
    part = (await caller.part()).decode()
    fields = dict(line.split(": ", 1) for line in part.strip().splitlines())
    return Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))


async def remember(caller: Caller, text: str) -> None:
    answer = await caller.call("POST", "/v1/memories", {"memories": [{"content": text}]})
    assert answer.status == 200


async def begin(caller: Caller, target: str, last_event_id: str = "") -> None:
    await caller.send(caller.request("GET", target, last_event_id=last_event_id))
    status, given = await caller.head()
    assert (status, given["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_events_are_changes_and_checkpoints(
    service: Service, caller: Caller, key: str
) -> None:
    async with calling(service.http, key) as watcher:
        await begin(watcher, f"{WATCH}?kinds=CHANGE_KIND_MEMORY_CREATED")
        empty = {"changes": [], "revision": "0", "latestRevision": "0"}
        assert await event(watcher) == Event("0", "checkpoint", empty)

        await remember(caller, "one")

        first = await event(watcher)
        assert (first.id, first.name) == ("1", "changes")
        listed = await caller.call("GET", "/v1/changes")
        assert first.data["changes"] == listed.json["changes"]
        assert (first.data["revision"], first.data["latestRevision"]) == ("1", "1")

        await caller.call("POST", "/v1/documents", {"content": "x"})
        passed = await event(watcher)
        assert (passed.id, passed.name) == ("2", "checkpoint")


async def test_a_stream_continues_after_the_last_event(
    service: Service, caller: Caller, key: str
) -> None:
    for text in ("one", "two", "three"):
        await remember(caller, text)

    async with calling(service.http, key) as watcher:
        # A browser connects again to the same URL.
        await begin(watcher, f"{WATCH}?afterRevision=0", last_event_id="2")
        only = await event(watcher)

    assert (only.id, [change["revision"] for change in only.data["changes"]]) == ("3", ["3"])


@pytest.mark.parametrize("last", ["doc_1", "-1", "1.5", "9" * 30])
async def test_a_last_event_that_is_none_is_refused(caller: Caller, last: str) -> None:
    answer = await caller.call("GET", WATCH, last_event_id=last)
    assert (answer.status, answer.fields) == (400, ["Last-Event-ID"])


async def test_it_is_refused_before_it_begins(caller: Caller, service: Service) -> None:
    ahead = await caller.call("GET", f"{WATCH}?afterRevision=7")
    assert (ahead.status, ahead.reason) == (400, "REVISION_AHEAD")
    assert (await caller.call("HEAD", WATCH)).status == 405
    limited = service.create_key(containers=["a"])
    async with calling(service.http, limited) as other:
        refused = await other.call("GET", f"{WATCH}?containerTags=b")
        assert (refused.status, refused.reason) == (403, "CONTAINER_NOT_ALLOWED")


async def test_a_watcher_that_hangs_up_leaves_nothing(service: Service, key: str) -> None:
    async with calling(service.http, key) as watcher:
        await begin(watcher, WATCH)
        await event(watcher)
    await until(lambda: service.server.calls_in_progress == 0 and service.store.idle)


async def test_a_watcher_that_does_not_read_holds_up_nobody(
    service: Service, caller: Caller
) -> None:
    tags = [f"{number:0100}" for number in range(20)]
    items = [{"content": "x", "containerTags": tags}] * 600
    for _ in range(5):
        await caller.call("POST", "/v1/documents:batchUpsert", {"items": items})
    secret = service.create_key()
    async with calling(service.http, secret) as watcher:
        await begin(watcher, f"{WATCH}?afterRevision=0")
        await event(watcher)

        listed = await caller.call("GET", "/v1/changes?afterRevision=2999")
        assert [change["revision"] for change in listed.json["changes"]] == ["3000"]
        service.revoke_key(secret)
        await until(lambda: service.server.calls_in_progress == 0 and service.store.idle)


async def test_a_key_that_is_revoked_ends_it(service: Service, key: str) -> None:
    async with calling(service.http, key) as watcher:
        await begin(watcher, WATCH)
        await event(watcher)
        service.revoke_key(key)
        last = await event(watcher)
        assert last.name == "error"
        assert "KEY_INVALID" in json.dumps(last.data)
        assert await watcher.part() == b""

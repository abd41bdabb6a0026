"""The Changes service."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from palimpsest.v1 import changes_pb2 as pb
from service.core import model as m
from service.ports.store import Store, TenantRevision
from service.rpc.access import CHANGE_BYTES
from service.rpc.calls import CallInfo, StreamCall
from service.rpc.convert import changes as convert
from service.rpc.to_thread import MANY_ITEMS, to_thread_if
from service.rpc.validation import check, raise_for_violations

BATCH: Final = 500
"""Changes in one message of a stream, at most."""

CHECKPOINT_SECONDS: Final = 3.0
"""A stream whose revision moves on says so after this long, and a second more at most."""

PAUSE_SECONDS: Final = 0.1
"""Between two messages of a stream that has caught up: changes made meanwhile come together."""

FOLLOWER_SECONDS: Final = 0.01
"""The same for each stream that follows the tenant, if that is longer: so many messages a second
reach all of them together that the calls whose changes they report are not held up."""

MAX_PAUSE_SECONDS: Final = 2.0


class Changes:
    """Each method is the RPC of its name, after authorization."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_changes(
        self, call: CallInfo, request: pb.ListChangesRequest
    ) -> pb.ListChangesResponse:
        raise_for_violations(check(request))
        page = await self._store.changes.list(call.principal, convert.query(request))
        response = pb.ListChangesResponse(
            revision=page.revision, latest_revision=page.latest, oldest_revision=page.oldest
        )
        convert.to_proto(page.changes, response.changes)
        return response

    async def watch_changes(self, call: StreamCall, request: pb.WatchChangesRequest) -> None:
        raise_for_violations(check(request))
        with self._store.changes.following(call.principal) as tenant:
            named = request.HasField("after_revision")
            after = request.after_revision if named else await tenant.latest()
            query = convert.watch_query(request, after, BATCH)
            await _Watch(self._store, tenant, call, query).run()


def pause_seconds(followers: int) -> float:
    """Between two messages of one of so many streams."""
    return min(max(PAUSE_SECONDS, followers * FOLLOWER_SECONDS), MAX_PAUSE_SECONDS)


class _Watch:
    """One stream of changes."""

    def __init__(
        self, store: Store, tenant: TenantRevision, call: StreamCall, query: m.ChangeQuery
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._call = call
        self._query = query
        self._clock = asyncio.get_running_loop().time
        self._told = -1
        """The revision that the last message named."""
        self._due = self._clock()
        """When the revision is told, even if there are no changes to send."""

    async def run(self) -> None:
        """Send what there is, wait for more, and so on."""
        while True:
            caught_up = await self._step()
            if caught_up:
                reached = self._query.after
                await asyncio.sleep(pause_seconds(self._tenant.followers))
                seconds = self._due - self._clock() if self._told < reached else None
                await self._tenant.wait_beyond(reached, seconds)

    async def _step(self) -> bool:
        """Read the next page, and send it if it says anything; whether it was the last."""
        async with self._call.message(BATCH * CHANGE_BYTES) as send:
            page = await self._store.changes.list(self._call.principal, self._query)
            caught_up = page.revision >= page.latest
            self._query = replace(self._query, after=page.revision)
            due = self._told < page.revision and self._clock() >= self._due
            if page.changes or due:
                message = await self._message(page)
                # Not kept in memory next to the message while that is not read.
                del page
                await send(message)
                self._told = message.revision
                self._due = self._clock() + CHECKPOINT_SECONDS
        return caught_up

    async def _message(self, page: m.ChangePage) -> pb.WatchChangesResponse:
        many = len(page.changes) >= MANY_ITEMS
        return await to_thread_if(many, convert.watch_response, page)

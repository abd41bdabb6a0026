"""Changes read per second, page by page and as a stream."""

from __future__ import annotations

from time import perf_counter

from palimpsest.v1.changes_pb2 import (
    ListChangesRequest,
    ListChangesResponse,
    WatchChangesRequest,
    WatchChangesResponse,
)
from tests.bench.load import Target
from tests.bench.report import Row

GOAL = 20_000
PAGE = 1000
LEAST = 100_000
"""Changes that are read for a figure, at least: all of the tenant, as often as it takes."""


class Changes:
    """One reader of the change feed, from its beginning."""

    def __init__(self, service: Target) -> None:
        self._service = service
        self.rows = {
            "list": Row(f"ListChanges, pages of {PAGE:,}, one caller", GOAL, unit="changes/s"),
            "watch": Row("WatchChanges from the beginning, one stream", GOAL, unit="changes/s"),
        }

    async def round(self) -> None:
        for name, read in (("list", self._list), ("watch", self._watch)):
            found, started = 0, perf_counter()
            while found < LEAST:
                found += await read()
            seconds = perf_counter() - started
            self.rows[name].add(found / seconds, f"{found:,} in {seconds:.2f} s")

    async def _list(self) -> int:
        call, found, after = self._service.call("Changes/ListChanges"), 0, 0
        while True:
            request = ListChangesRequest(after_revision=after, page_size=PAGE)
            page = ListChangesResponse.FromString(await call(request.SerializeToString()))
            found += len(page.changes)
            after = page.revision
            if after == page.latest_revision:
                return found

    async def _watch(self) -> int:
        request, found = WatchChangesRequest(after_revision=0).SerializeToString(), 0
        async for raw in self._service.stream("Changes/WatchChanges", request):
            message = WatchChangesResponse.FromString(raw)
            found += len(message.changes)
            if message.revision == message.latest_revision:
                break
        return found

"""What is measured. Every round sets the empty call right beside each measure."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from palimpsest.v1.documents_pb2 import (
    BulkDeleteDocumentsRequest,
    BulkDeleteDocumentsResponse,
    GetDocumentRequest,
    ListDocumentsRequest,
    ListDocumentsResponse,
)
from palimpsest.v1.memories_pb2 import ForgetMemoryRequest, UpdateMemoryRequest
from tests.bench import baseline, data
from tests.bench.load import Call, Target, latencies, latency, percentile, rate
from tests.bench.report import Row, progress

CALLS = 4000
ALONE = 400
DELETED = 30_000


def repeated(requests: Sequence[bytes], count: int) -> list[bytes]:
    return list(itertools.islice(itertools.cycle(requests), count))


def gets(ids: Sequence[str], count: int) -> list[bytes]:
    requests = [GetDocumentRequest(id=name).SerializeToString() for name in ids[:5000]]
    return repeated(requests, count)


def filtered_page(container: str = data.FILLED) -> bytes:
    return ListDocumentsRequest(
        container_tags=[container], filter=data.half_of_them(), page_size=50
    ).SerializeToString()


async def fill(target: Target, count: int, container: str) -> list[str]:
    """Ids of so many new documents, a few batches at once."""
    call, ids, done = target.call("Documents/BatchUpsertDocuments"), list[str](), 0
    work = iter(data.batches(count, container))
    shown = perf_counter()

    async def loader() -> None:
        nonlocal done, shown
        for size, request in work:
            made = data.made_ids(await call(request))
            done += size
            if len(ids) < 100_000:
                ids.extend(made)
            if perf_counter() - shown > 10:
                shown = perf_counter()
                progress(f"  loaded {done:,} of {count:,}")

    await asyncio.gather(*(loader() for _ in range(2)))
    return ids


class Throughput:
    """Calls a second at 64 in flight, as a part of the empty call's."""

    def __init__(self, service: Target, empty: Target, ids: Sequence[str]) -> None:
        self._service = service
        self._empty = empty.call("Documents/GetDocument")
        self._ids = ids
        self.rows = {
            "get": Row("GetDocument, 64 in flight", 0.6),
            "upsert": Row("UpsertDocument of new 1 KB documents, 64 in flight", 0.4),
            "create": Row("CreateMemories of one memory, 64 in flight", 0.35),
            "update": Row("UpdateMemory, 64 in flight", 0.35),
            "forget": Row("ForgetMemory, 64 in flight", 0.4),
            "list": Row("ListDocuments of 50, filter matching half, 64 in flight", 0.15),
        }

    async def round(self) -> None:
        service = self._service
        updated = await data.memories(service, CALLS)
        forgotten = await data.memories(service, CALLS)
        works = {
            "get": ("Documents/GetDocument", gets(self._ids, CALLS)),
            "upsert": ("Documents/UpsertDocument", data.new_documents(CALLS)),
            "create": ("Memories/CreateMemories", data.new_memories(CALLS)),
            "update": (
                "Memories/UpdateMemory",
                [
                    UpdateMemoryRequest(
                        container_tag="bench", id=name, new_content=f"{name} has changed"
                    ).SerializeToString()
                    for name in updated
                ],
            ),
            "forget": (
                "Memories/ForgetMemory",
                [
                    ForgetMemoryRequest(container_tag="bench", id=name).SerializeToString()
                    for name in forgotten
                ],
            ),
            "list": ("Documents/ListDocuments", [filtered_page()] * (CALLS // 4)),
        }
        before = await self._bare()
        for name, (method, requests) in works.items():
            measured = await rate(service.call(method), requests)
            after = await self._bare()
            beside = (before + after) / 2
            self.rows[name].add(measured / beside, f"{measured:,.0f}/s of {beside:,.0f}/s")
            before = after

    async def _bare(self) -> float:
        return await rate(self._empty, [baseline.REQUEST] * CALLS)


class Alone:
    """One caller at a time: how many times the empty call's latency."""

    def __init__(self, service: Target, empty: Target, ids: Sequence[str]) -> None:
        self._get = service.call("Documents/GetDocument")
        self._upsert = service.call("Documents/UpsertDocument")
        self._empty = empty.call("Documents/GetDocument")
        self._ids = ids
        self.rows = {
            "get": Row("GetDocument alone, latency", 3, at_most=True),
            "upsert": Row("UpsertDocument alone, latency", 5, at_most=True),
        }

    async def round(self) -> None:
        bare = await latency(self._empty, [baseline.REQUEST] * ALONE)
        get = await latency(self._get, gets(self._ids, ALONE))
        upsert = await latency(self._upsert, data.new_documents(ALONE))
        bare = (bare + await latency(self._empty, [baseline.REQUEST] * ALONE)) / 2
        for name, measured in (("get", get), ("upsert", upsert)):
            note = f"{measured * 1000:.2f} ms of {bare * 1000:.2f} ms"
            self.rows[name].add(measured / bare, note)


class Bulk:
    """Documents a second in batches, in and out, and what others feel of it."""

    def __init__(self, service: Target, other: Target, ids: Sequence[str]) -> None:
        self._service = service
        self._get = other.call("Documents/GetDocument")
        self._ids = ids
        self._round = 0
        self.rows = {
            "in": Row("BatchUpsertDocuments", 6000, unit="documents/s"),
            "out": Row("Bulk delete by container", 10_000, unit="documents/s"),
            "felt": Row("GetDocument p99 meanwhile, times quiet", 3, at_most=True),
        }

    async def round(self) -> None:
        self._round += 1
        container = f"bulk-{self._round}"
        requests = [request for _, request in data.batches(DELETED, container)]
        call = self._service.call("Documents/BatchUpsertDocuments")
        batches = await rate(call, requests, in_flight=2)
        self.rows["in"].add(batches * data.BATCH, f"{DELETED:,} of 1 KB, {data.BATCH} a call")
        quiet = percentile(await latencies(self._get, gets(self._ids, 3000)), 99)

        deleting = asyncio.ensure_future(self._delete(container))
        felt: list[float] = []
        requests = gets(self._ids, 100)
        while not deleting.done():
            felt.extend(await latencies(self._get, requests[:20]))
        during = percentile(felt, 99)
        self.rows["out"].add(await deleting, f"{DELETED:,} of 1 KB, one call")
        note = f"{during * 1000:.1f} ms of {quiet * 1000:.1f} ms, {len(felt):,} calls"
        self.rows["felt"].add(during / quiet, note)

    async def _delete(self, container: str) -> float:
        request = BulkDeleteDocumentsRequest(container_tags=[container]).SerializeToString()
        started = perf_counter()
        raw = await self._service.call("Documents/BulkDeleteDocuments")(request)
        taken = perf_counter() - started
        answer = BulkDeleteDocumentsResponse.FromString(raw)
        assert answer.deleted_count == DELETED, answer
        return DELETED / taken


class Depth:
    """Page 1,000 against page 1."""

    def __init__(self, service: Target) -> None:
        self._list = service.call("Documents/ListDocuments")
        self._deep = b""
        self.rows = {"deep": Row("Page 1,000 of 10, time against page 1", 1.2, at_most=True)}

    def _request(self, token: str = "") -> bytes:
        return ListDocumentsRequest(
            container_tags=[data.FILLED], page_size=10, page_token=token
        ).SerializeToString()

    async def round(self) -> None:
        if not self._deep:
            self._deep = await self._walk(999)
        first = await rate(self._list, [self._request()] * 1000, in_flight=8)
        deep = await rate(self._list, [self._deep] * 1000, in_flight=8)
        self.rows["deep"].add(first / deep, f"{deep:,.0f}/s against {first:,.0f}/s")

    async def _walk(self, pages: int) -> bytes:
        token = ""
        for _ in range(pages):
            page = ListDocumentsResponse.FromString(await self._list(self._request(token)))
            token = page.next_page_token
        return self._request(token)


class Size:
    """A large database against a small one, call by call."""

    def __init__(self, small: Target, large: Target, ids: Sequence[Sequence[str]]) -> None:
        self._targets = (small, large)
        self._ids = ids
        self.rows = {
            "get": Row("GetDocument, large database against small", 0.8),
            "upsert": Row("UpsertDocument, large database against small", 0.8),
            "list": Row("Filtered first page, large database against small", 0.8),
        }

    async def round(self) -> None:
        await self._compare(
            "get", lambda n: self._rate(n, "GetDocument", gets(self._ids[n], CALLS))
        )
        new = data.new_documents(CALLS)
        await self._compare("upsert", lambda n: self._rate(n, "UpsertDocument", new))
        pages = [filtered_page()] * (CALLS // 4)
        await self._compare("list", lambda n: self._rate(n, "ListDocuments", pages))

    def _rate(self, which: int, method: str, requests: Sequence[bytes]) -> Awaitable[float]:
        call: Call = self._targets[which].call(f"Documents/{method}")
        return rate(call, requests)

    async def _compare(self, name: str, measure: Callable[[int], Awaitable[float]]) -> None:
        before = await measure(0)
        large = await measure(1)
        small = (before + await measure(0)) / 2
        self.rows[name].add(large / small, f"{large:,.0f}/s of {small:,.0f}/s")

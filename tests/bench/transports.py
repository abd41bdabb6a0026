"""HTTP next to gRPC: the same calls by both, in the same minutes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from palimpsest.v1.documents_pb2 import (
    GetDocumentRequest,
    ListDocumentsRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.memories_pb2 import UpdateMemoryRequest
from tests.bench import data
from tests.bench.http_load import http_latencies, http_rate, request
from tests.bench.load import Target, latency, rate
from tests.bench.measures import ALONE, CALLS, filtered_page, gets
from tests.bench.report import Row


class Transports:
    """Calls a second over HTTP, as multiples of those over gRPC, at 64 in flight.

    Args:
        service: The server over gRPC.
        http: Its address for HTTP.
        ids: Of documents that it has.
    """

    def __init__(self, service: Target, http: str, ids: Sequence[str]) -> None:
        self._service = service
        self._http = http
        self._ids = ids
        self.rows = {
            "get": Row("GetDocument over HTTP, times gRPC", 1.5),
            "upsert": Row("UpsertDocument over HTTP, times gRPC", 1.3),
            "update": Row("UpdateMemory over HTTP, times gRPC", 1.2),
            "list": Row("ListDocuments of 50 over HTTP, times gRPC", 0.9),
            "alone": Row("GetDocument over HTTP alone, latency, times gRPC", 1.0, at_most=True),
        }

    async def round(self) -> None:
        pages = [filtered_page()] * (CALLS // 4)
        await self._compare("get", "Documents/GetDocument", *self._gets(CALLS))
        await self._compare(
            "upsert",
            "Documents/UpsertDocument",
            data.new_documents(CALLS),
            [
                self._post("/v1/documents", UpsertDocumentRequest.FromString(raw))
                for raw in data.new_documents(CALLS)
            ],
        )
        await self._compare(
            "update",
            "Memories/UpdateMemory",
            [each.SerializeToString() for each in await self._updates()],
            [self._post("/v1/memories:update", each) for each in await self._updates()],
        )
        body = ListDocumentsRequest.FromString(pages[0])
        listed = [self._post("/v1/documents:list", body)] * len(pages)
        await self._compare("list", "Documents/ListDocuments", pages, listed)
        by_grpc, by_http = self._gets(ALONE)
        grpc = await latency(self._service.call("Documents/GetDocument"), by_grpc)
        http = statistics.median(await http_latencies(self._http, by_http))
        note = f"{http * 1000:.2f} ms of {grpc * 1000:.2f} ms"
        self.rows["alone"].add(http / grpc, note)

    async def _compare(
        self, name: str, method: str, by_grpc: Sequence[bytes], by_http: Sequence[bytes]
    ) -> None:
        half = len(by_grpc) // 2
        call = self._service.call(method)
        before = await rate(call, by_grpc[:half])
        http = await http_rate(self._http, by_http)
        grpc = (before + await rate(call, by_grpc[half:])) / 2
        self.rows[name].add(http / grpc, f"{http:,.0f}/s of {grpc:,.0f}/s")

    def _gets(self, count: int) -> tuple[list[bytes], list[bytes]]:
        by_grpc = gets(self._ids, count)
        paths = [f"/v1/documents/{GetDocumentRequest.FromString(raw).id}" for raw in by_grpc]
        return by_grpc, [request(self._service.key, "GET", path) for path in paths]

    async def _updates(self) -> list[UpdateMemoryRequest]:
        return [
            UpdateMemoryRequest(container_tag="bench", id=name, new_content=f"{name} has changed")
            for name in await data.memories(self._service, CALLS)
        ]

    def _post(self, path: str, message: Message) -> bytes:
        return request(self._service.key, "POST", path, MessageToJson(message).encode())

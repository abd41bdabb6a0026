"""The same calls on PostgreSQL and on SQLite, one right after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from palimpsest.v1.documents_pb2 import BulkDeleteDocumentsRequest
from palimpsest.v1.memories_pb2 import ForgetMemoryRequest, UpdateMemoryRequest
from tests.backends import selection
from tests.backends.cluster import Cluster
from tests.backends.postgres import DatabaseServer, PostgresBackend
from tests.bench import data, measures
from tests.bench.load import Target, connect, latency, rate
from tests.bench.processes import cpu_seconds, with_children
from tests.bench.report import Row, progress
from tests.harness import Server, running_server

DOCUMENTS = 10_000
"""That each server has before it is measured."""

DELETED = 10_000


@dataclass(frozen=True)
class Side:
    """A server with documents, and a connection to it."""

    server: Server
    target: Target
    ids: Sequence[str]

    async def rate(self, method: str, requests: Sequence[bytes], in_flight: int = 64) -> float:
        return await rate(self.target.call(method), requests, in_flight)


class Backends:
    """PostgreSQL against SQLite: two servers with the same documents."""

    def __init__(self, cluster: Cluster, sqlite: Side, postgres: Side) -> None:
        self._cluster = cluster
        self._sqlite = sqlite
        self._postgres = postgres
        self._numbers = count(1)
        self.rows = {
            "get": Row("PostgreSQL, of SQLite's rate: GetDocument", 0.65),
            "upsert": Row("… UpsertDocument", 0.65),
            "create": Row("… CreateMemories", 0.7),
            "update": Row("… UpdateMemory", 0.8),
            "forget": Row("… ForgetMemory", 0.85),
            "list": Row("… ListDocuments with a filter", 0.5),
            "in": Row("… BatchUpsertDocuments of 500", 1.0),
            "out": Row("… bulk delete", 0.5),
            "get alone": Row("GetDocument alone, times SQLite's latency", 1.7, at_most=True),
            "upsert alone": Row("UpsertDocument alone, times SQLite's", 1.7, at_most=True),
            "get cpu": Row(
                "CPU of PostgreSQL for GetDocument, of the server's", 0.25, at_most=True
            ),
            "upsert cpu": Row("… for UpsertDocument", 0.25, at_most=True),
        }

    async def round(self) -> None:
        calls = measures.CALLS
        pages = [measures.filtered_page()] * (calls // 4)
        await self._compare("get", lambda side: self._gets(side, calls))
        await self._compare("upsert", lambda side: self._upserts(side, calls))
        await self._compare(
            "create", lambda side: side.rate("Memories/CreateMemories", data.new_memories(calls))
        )
        await self._compare("update", _update)
        await self._compare("forget", _forget)
        await self._compare("list", lambda side: side.rate("Documents/ListDocuments", pages))
        await self._compare("in", self._in_bulk)
        await self._compare("out", self._out)
        await self._alone("get", lambda side: measures.gets(side.ids, measures.ALONE))
        await self._alone("upsert", lambda _: data.new_documents(measures.ALONE))

    def _gets(self, side: Side, calls: int) -> Coroutine[Any, Any, float]:
        work = side.rate("Documents/GetDocument", measures.gets(side.ids, calls))
        return self._counted("get cpu", side, work)

    def _upserts(self, side: Side, calls: int) -> Coroutine[Any, Any, float]:
        work = side.rate("Documents/UpsertDocument", data.new_documents(calls))
        return self._counted("upsert cpu", side, work)

    async def _compare(
        self, name: str, measure: Callable[[Side], Coroutine[Any, Any, float]]
    ) -> None:
        before = await measure(self._sqlite)
        postgres = await measure(self._postgres)
        sqlite = (before + await measure(self._sqlite)) / 2
        self.rows[name].add(postgres / sqlite, f"{postgres:,.0f}/s of {sqlite:,.0f}/s")

    async def _counted(self, name: str, side: Side, work: Coroutine[Any, Any, float]) -> float:
        """The rate; on PostgreSQL, also what either process took."""
        if side is not self._postgres:
            return await work
        parts = ([side.server.process.pid], with_children(self._cluster.pid))
        before = [cpu_seconds(pids) for pids in parts]
        found = await work
        server, database = (
            cpu_seconds(pids) - known for pids, known in zip(parts, before, strict=True)
        )
        self.rows[name].add(database / server, f"{database:.2f} s of {server:.2f} s")
        return found

    async def _in_bulk(self, side: Side) -> float:
        container = f"bulk-{next(self._numbers)}"
        requests = [request for _, request in data.batches(DELETED, container)]
        return await side.rate("Documents/BatchUpsertDocuments", requests, 2) * data.BATCH

    async def _out(self, side: Side) -> float:
        container = f"bulk-{next(self._numbers)}"
        await measures.fill(side.target, DELETED, container)
        request = BulkDeleteDocumentsRequest(container_tags=[container]).SerializeToString()
        began = perf_counter()
        await side.target.call("Documents/BulkDeleteDocuments")(request)
        return DELETED / (perf_counter() - began)

    async def _alone(self, name: str, requests: Callable[[Side], Sequence[bytes]]) -> None:
        method = {"get": "GetDocument", "upsert": "UpsertDocument"}[name]

        async def measure(side: Side) -> float:
            return await latency(side.target.call(f"Documents/{method}"), requests(side))

        before = await measure(self._sqlite)
        postgres = await measure(self._postgres)
        sqlite = (before + await measure(self._sqlite)) / 2
        note = f"{postgres * 1000:.2f} ms of {sqlite * 1000:.2f} ms"
        self.rows[f"{name} alone"].add(postgres / sqlite, note)


class Fresh:
    """A database that has just been filled: its plans are those of one that was analysed."""

    def __init__(self, folder: Path, postgres: DatabaseServer, options: Sequence[str]) -> None:
        self._folder = folder
        self._postgres = postgres
        self._options = options
        self._numbers = count(1)
        self.rows = {
            "get": Row("PostgreSQL, GetDocument after 10,000 writes, of that after ANALYZE", 0.8)
        }

    async def round(self) -> None:
        analysed = await self._filled(analyse=True)
        first = await self._filled(analyse=False)
        analysed = (analysed + await self._filled(analyse=True)) / 2
        self.rows["get"].add(first / analysed, f"{first:,.0f}/s of {analysed:,.0f}/s")

    async def _filled(self, *, analyse: bool) -> float:
        """The rate just after a new database was filled, while its documents are processed."""
        backend = PostgresBackend(self._folder / f"fresh-{next(self._numbers)}", self._postgres)
        with selection.used(backend), running_server(backend.folder, *self._options) as server:
            target = connect(server.address, server.key)
            ids = await measures.fill(target, DOCUMENTS, data.FILLED)
            if analyse:
                await asyncio.to_thread(backend.execute, "ANALYZE")
            requests = measures.gets(ids, 5 * measures.CALLS)
            found = await rate(target.call("Documents/GetDocument"), requests)
            await target.channel.close()
        return found


async def _update(side: Side) -> float:
    requests = [
        UpdateMemoryRequest(
            container_tag="bench", id=name, new_content=f"{name} has changed"
        ).SerializeToString()
        for name in await data.memories(side.target, measures.CALLS)
    ]
    return await side.rate("Memories/UpdateMemory", requests)


async def _forget(side: Side) -> float:
    requests = [
        ForgetMemoryRequest(container_tag="bench", id=name).SerializeToString()
        for name in await data.memories(side.target, measures.CALLS)
    ]
    return await side.rate("Memories/ForgetMemory", requests)


async def _side(server: Server) -> Side:
    """The server, filled."""
    target = connect(server.address, server.key)
    return Side(server, target, await measures.fill(target, DOCUMENTS, data.FILLED))


@asynccontextmanager
async def comparing(folder: Path, options: Sequence[str]) -> AsyncIterator[tuple[Backends, Fresh]]:
    """Servers with these options on either backend, filled, with their data in a folder.

    PostgreSQL runs on this machine, and keeps what was committed as an operator's does.
    """
    cluster = Cluster(durable=True)
    with ExitStack() as stack:
        stack.callback(cluster.close)
        cluster.start()
        database = DatabaseServer(cluster.url)
        stack.callback(database.close)
        backend = PostgresBackend(folder / "postgres", database)
        stack.enter_context(selection.used(backend))
        servers = [
            stack.enter_context(running_server(path, *options))
            for path in (folder / "sqlite", backend.folder)
        ]
        progress(f"loading {DOCUMENTS:,} documents into a server on each backend")
        sqlite, postgres = [await _side(server) for server in servers]
        yield Backends(cluster, sqlite, postgres), Fresh(folder, database, options)
        for side in (sqlite, postgres):
            await side.target.channel.close()

"""What is measured of processing and searching. Every promise is about one server process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from safetensors.numpy import load_file

from service.content.chunking import chunk
from service.content.text import Text
from service.embedding import static
from service.embedding.base import Purpose
from service.embedding.registry import open_embedder
from service.embedding.tokens import load_tokenizer
from tests.bench import baseline, prose
from tests.bench.load import Call, Target, connect, latencies, percentile, rate
from tests.bench.queue import processed, waiting
from tests.bench.report import Row, progress
from tests.harness import Server, running_server

MEGABYTE = 1_000_000
SEARCHES = 300
COLD = 5
WARMING = 20


async def load(target: Target, method: str, requests: Iterable[bytes]) -> None:
    await rate(target.call(method), list(requests), in_flight=2)


def resident(server: Server) -> int:
    """Bytes of memory that the server's process has, and the processes it has begun."""
    pid = server.process.pid
    begun = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (str(pid), *begun):
        status = Path(f"/proc/{one}/status").read_text()
        lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        total += sum(int(line.split()[1]) * 1024 for line in lines)
    return total


class Pipeline:
    """Documents a second from queued to DONE, as a part of the embedder's bare rate.

    The documents wait before the workers begin: a server without workers takes them.
    As the bare rate is that of a model which is loaded, documents that come before
    those measured start the compute workers; how long that takes is said apart.
    """

    def __init__(self, folder: Path, embedder: str, count: int, target: float) -> None:
        self._folder = folder
        self._embedder = embedder
        self._count = count
        self._first = count // 10
        self._round = 0
        name = embedder.partition(":")[0]
        self.rows = {"done": Row(f"Documents of 1 KB processed, embedder {name}", target)}
        self.rows["cold"] = Row(f"The first {self._first:,} before them, cold", unit="s")
        if name == "static":
            what = "The same, against its model read without remembering words"
            self.rows["plain"] = Row(what)

    async def round(self) -> None:
        self._round += 1
        texts = [prose.document_text() for _ in range(self._first + self._count)]
        before, plain = await self._bare(texts), self._plain(texts)
        with running_server(self._folder, "--workers", "0") as server:
            target = connect(server.address, server.key)
            requests = prose.document_batches(texts, f"round-{self._round}")
            await load(target, "Documents/BatchUpsertDocuments", requests)
            await target.channel.close()
        with running_server(self._folder, "--embedder", self._embedder) as server:
            begun = perf_counter()
            await processed(server, self._count)
            left, started = waiting(server), perf_counter()
            await processed(server)
            ended = perf_counter()
        done, all_of_them = left / (ended - started), len(texts) / (ended - begun)
        bare = (before + await self._bare(texts)) / 2
        self.rows["done"].add(done / bare, f"{done:,.0f}/s of {bare:,.0f}/s")
        note = f"with them {all_of_them / bare:.2f} of the bare rate"
        self.rows["cold"].add(started - begun, note)
        if "plain" in self.rows:
            plain = (plain + self._plain(texts)) / 2
            self.rows["plain"].add(done / plain, f"{done:,.0f}/s of {plain:,.0f}/s")

    def _plain(self, texts: Sequence[str]) -> float:
        """Documents a second that the default embedder's files give without its code."""
        weights, file = static.DATA / static.WEIGHTS, static.DATA / static.TOKENIZER
        tokenizer, vectors = load_tokenizer(file), load_file(weights)["embedding.weight"]
        vectors = vectors.astype(np.float32)
        chunks = _chunks(texts)
        started = perf_counter()
        for start in range(0, len(chunks), 64):
            part = chunks[start : start + 64]
            for encoding in tokenizer.encode_batch_fast(part, add_special_tokens=False):
                np.take(vectors, encoding.ids, axis=0).sum(axis=0)
        return len(texts) / (perf_counter() - started)

    async def _bare(self, texts: Sequence[str]) -> float:
        """Documents a second whose chunks go through the embedder and nothing else."""
        chunks = _chunks(texts)
        embedder = open_embedder(self._embedder, None)
        try:
            await embedder.load()
            started = perf_counter()
            await embedder.embed(chunks, Purpose.DOCUMENT)
            return len(texts) / (perf_counter() - started)
        finally:
            await embedder.close()


def _chunks(texts: Sequence[str]) -> list[str]:
    return [part.text for text in texts for part in chunk(Text().extract(text))]


class Search:
    """One caller, one container, segment and mask warm; and the first search of all, cold."""

    def __init__(
        self, folder: Path, empty: Target, count: int, p50: float, p95: float | None
    ) -> None:
        self._folder = folder
        self._empty = empty.call("Documents/GetDocument")
        self._count = count
        self._loaded = False
        of = f"of {count:,} memories"
        self.rows: dict[str, Row] = {}
        for name, text in (("plain", "Search"), ("masked", "Search with a filter")):
            self.rows[name] = Row(f"{text} {of}, p50", p50, at_most=True, unit="ms")
            self.rows[name + "95"] = Row(f"{text} {of}, p95", p95, at_most=True, unit="ms")
        self.rows["first"] = Row(f"First search {of}, cold", unit="ms")
        self.rows["first masked"] = Row(f"First search with a filter {of}, cold", unit="ms")
        self.rows["streamed"] = Row(f"Search {of} that do not fit into memory", unit="ms")

    async def round(self) -> None:
        with running_server(self._folder) as server:
            target = connect(server.address, server.key)
            if not self._loaded:
                progress(f"loading {self._count:,} memories")
                batches = prose.memory_batches(self._count, "searched")
                await load(target, "Memories/CreateMemories", batches)
                self._loaded = True
            search = target.call("Memories/SearchMemories")
            for name, filtered in (("plain", False), ("masked", True)):
                await self._warm(search, name, filtered)
            await target.channel.close()
        for name, filtered in (("first", False), ("first masked", True)):
            requests = prose.memory_searches(COLD, "searched", filtered=filtered)
            self._add(name, [await self._first(request) for request in requests])
        with running_server(self._folder, "--index-memory", str(MEGABYTE)) as server:
            target = connect(server.address, server.key)
            search = target.call("Memories/SearchMemories")
            await latencies(search, prose.memory_searches(WARMING, "nothing"))
            self._add("streamed", await latencies(search, prose.memory_searches(COLD, "searched")))
            await target.channel.close()

    def _add(self, name: str, taken: Sequence[float]) -> None:
        note = f"{min(taken) * 1000:,.0f} to {max(taken) * 1000:,.0f} ms"
        self.rows[name].add(percentile(taken, 50) * 1000, note)

    async def _first(self, request: bytes) -> float:
        """How long a search takes that is the first of its container, in seconds."""
        with running_server(self._folder) as server:
            target = connect(server.address, server.key)
            search = target.call("Memories/SearchMemories")
            await latencies(search, prose.memory_searches(WARMING, "nothing"))
            (taken,) = await latencies(search, [request])
            await target.channel.close()
        return taken

    async def _warm(self, search: Call, name: str, filtered: bool) -> None:
        await latencies(search, prose.memory_searches(WARMING, "searched", filtered=filtered))
        bare = await latencies(self._empty, [baseline.REQUEST] * SEARCHES)
        requests = prose.memory_searches(SEARCHES, "searched", filtered=filtered)
        taken = await latencies(search, requests)
        for percent, row in ((50, name), (95, name + "95")):
            empty = percentile(bare, percent) * 1000
            self.rows[row].add(percentile(taken, percent) * 1000, f"empty call {empty:.2f} ms")


class Budget:
    """What many containers searched at random add to the server's memory.

    Compared is a server that keeps hardly any index: it too has a model, the caches
    of its database, and what it had to load for each search.
    """

    def __init__(self, folder: Path, containers: int, each: int, budget: int) -> None:
        self._folder = folder
        self._containers = containers
        self._each = each
        self._budget = budget
        self._loaded = False
        what = f"{containers:,} containers of {each:,}"
        self.rows = {
            "memory": Row(f"Memory for {what}, of --index-memory", 1, at_most=True),
            "search": Row(f"Search in one of {what} at random, p50", unit="ms"),
        }

    async def round(self) -> None:
        if not self._loaded:
            with running_server(self._folder) as server:
                await self._load(server)
            self._loaded = True
        without, _ = await self._searched(MEGABYTE)
        most, taken = await self._searched(self._budget)
        note = f"{most / MEGABYTE:,.0f} MB; with next to no budget {without / MEGABYTE:,.0f} MB"
        self.rows["memory"].add((most - without) / self._budget, note)
        note = f"p95 {percentile(taken, 95) * 1000:.0f} ms"
        self.rows["search"].add(percentile(taken, 50) * 1000, note)

    async def _searched(self, budget: int) -> tuple[int, list[float]]:
        """The most memory a server has while containers are searched, and the latencies."""
        with running_server(self._folder, "--index-memory", str(budget)) as server:
            target = connect(server.address, server.key)
            search = target.call("Memories/SearchMemories")
            most, taken = 0, list[float]()
            for container in random.choices(range(self._containers), k=2 * self._containers):
                request = prose.memory_searches(1, f"many-{container}")
                taken.extend(await latencies(search, request))
                most = max(most, resident(server))
            await target.channel.close()
        return most, taken

    async def _load(self, server: Server) -> None:
        target = connect(server.address, server.key)
        shown = perf_counter()
        for number in range(self._containers):
            batches = prose.memory_batches(self._each, f"many-{number}")
            await load(target, "Memories/CreateMemories", batches)
            if perf_counter() - shown > 10:
                shown = perf_counter()
                progress(f"  loaded {number + 1:,} of {self._containers:,} containers")
        await target.channel.close()


class Felt:
    """What a searcher feels of documents that arrive at half the rate they could."""

    SECONDS = 10.0

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._loaded = False
        self.rows = {
            "beside": Row("Search p95 while documents arrive, times quiet", 3, at_most=True),
            "within": Row("The same in the container where they arrive, times quiet"),
        }

    async def round(self) -> None:
        with running_server(self._folder) as server:
            target, other = (connect(server.address, server.key) for _ in range(2))
            if not self._loaded:
                batches = prose.memory_batches(self._count, "searched")
                await load(target, "Memories/CreateMemories", batches)
                texts = [prose.document_text() for _ in range(self._count // 2)]
                batches = prose.document_batches(texts, "filled")
                await load(target, "Documents/BatchUpsertDocuments", batches)
                self._loaded = True
            upsert = target.call("Documents/UpsertDocument")
            await processed(server)
            highest = await rate(upsert, self._documents(4000, "new"))
            memories = prose.memory_searches(SEARCHES, "searched")
            documents = prose.document_searches(SEARCHES, "filled")
            for name, method, requests, into in (
                ("beside", "Memories/SearchMemories", memories, "new"),
                ("within", "Documents/SearchDocuments", documents, "filled"),
            ):
                await processed(server)
                search = other.call(method)
                await latencies(search, requests[:WARMING])
                quiet = percentile(await latencies(search, requests), 95)
                arriving = asyncio.ensure_future(self._arrive(upsert, into, highest / 2))
                felt = list[float]()
                while not arriving.done():
                    felt.extend(await latencies(search, [random.choice(requests)]))
                arrived = await arriving
                during = percentile(felt, 95)
                note = (
                    f"{during * 1000:.1f} ms of {quiet * 1000:.1f} ms, "
                    f"{arrived:,.0f} of {highest:,.0f} documents/s"
                )
                self.rows[name].add(during / quiet, note)
            await target.channel.close()
            await other.channel.close()

    def _documents(self, count: int, container: str) -> list[bytes]:
        return prose.documents([prose.document_text() for _ in range(count)], container)

    async def _arrive(self, upsert: Call, container: str, per_second: float) -> float:
        """Upserts at an even pace, whatever becomes of the ones before; how many a second."""
        requests = self._documents(round(per_second * self.SECONDS), container)
        started = perf_counter()

        async def one(request: bytes) -> None:
            await upsert(request)

        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(requests):
                group.create_task(one(request))
                await asyncio.sleep(max(0.0, started + number / per_second - perf_counter()))
        return len(requests) / (perf_counter() - started)

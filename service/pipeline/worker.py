"""The workers that take documents from the queue and process them to DONE."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

from service.content.base import UnreadableContentError
from service.core.errors import PalimpsestError
from service.core.model import FILE_KINDS, Status
from service.core.times import SECOND
from service.embedding.base import EmbedderError, EmbedderRefusedError
from service.pipeline import chunking
from service.pipeline.chunking import ChunkingResult
from service.pipeline.executors import BackgroundScheduler
from service.pipeline.extracting import FilesNotReadError
from service.pipeline.indexing import Indexing
from service.pipeline.progress import BatchProgress, Progress
from service.ports.processing import Failed, Job, Processed, Queue, Work
from service.processes.worker_process import WorkerDiedError

log = logging.getLogger(__name__)

LONGEST_PAUSE = 300.0

SLICE = 24
"""Documents extracted and chunked in one call: some 5 milliseconds with short ones."""

MIN_BATCH = 16

YIELDING_BATCH = 96
"""Documents taken at a time while other tenants call, at most: a write of more is felt by them."""


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How documents are processed.

    Args:
        lease: Seconds after which a dead worker's documents may be taken by another.
        attempts: Tries before a document is FAILED.
        batch: Documents that one worker takes at a time, at most.
        workers: How many run concurrently: one reads and one writes while one embeds.
        pause: Seconds before the second try; each further pause is four times as long.
        poll: Seconds after which an idle worker looks for documents that other servers have
            queued or lost.
        gather: Seconds after a small batch until the next one is taken, at the latest: while
            documents are being processed others arrive, and a few cost as much as many.
        target: A worker takes as many documents as were recently processed in so many seconds,
            but at least MIN_BATCH: in a large batch each costs less, but later documents wait
            until it is done. What it waited for others does not count.
    """

    lease: float = 20.0
    attempts: int = 5
    batch: int = 256
    workers: int = 3
    pause: float = 1.0
    poll: float = 1.0
    gather: float = 0.05
    target: float = 0.25


_Chunked: TypeAlias = ChunkingResult | UnreadableContentError | FilesNotReadError


class Pipeline:
    """Processes what is queued, until it is closed."""

    def __init__(
        self,
        queue: Queue,
        indexing: Indexing,
        background: BackgroundScheduler,
        options: PipelineOptions,
    ) -> None:
        self._queue = queue
        self._indexing = indexing
        self._background = background
        self._options = options
        self._holder = secrets.token_hex(8)
        self._held: dict[tuple[int, str], Job] = {}
        self._idle = asyncio.Event()
        """Set while no documents are held."""
        self._idle.set()
        self._claiming = asyncio.Lock()
        """Held by the worker that waits for documents: one at a time."""
        self._next_claim = 0.0
        self._limit = MIN_BATCH
        self.progress = Progress()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loops = [self._renew_forever, *[self._work_forever] * self._options.workers]
        self._tasks = [asyncio.create_task(loop()) for loop in loops]

    async def close(self) -> None:
        """Stop, and release documents that are not finished."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._held:
            with contextlib.suppress(PalimpsestError):
                await self._queue.release(list(self._held.values()))

    async def _work_forever(self) -> None:
        while True:
            try:
                works = await self._wait_for_work()
                started = perf_counter()
                waited = await self._run(works)
                per_second = len(works) / (perf_counter() - started - waited)
                most = YIELDING_BATCH if waited else self._options.batch
                self._limit = min(most, max(MIN_BATCH, round(self._options.target * per_second)))
            except PalimpsestError as error:
                log.warning("documents wait for the database: %s", error)
                await asyncio.sleep(self._options.poll)
            except Exception:
                log.exception("processing failed; it goes on with the next documents")
                await asyncio.sleep(self._options.poll)

    async def _wait_for_work(self) -> Sequence[Work]:
        """The next documents, as soon as there are some."""
        async with self._claiming:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._next_claim - perf_counter()):
                        await self._idle.wait()
                await self._background.yield_to_foreground()
                limit = min(self._limit, self._options.batch)
                works = await self._claim(limit)
                if works:
                    few = len(works) < limit
                    self._next_claim = perf_counter() + self._options.gather if few else 0.0
                    return works
                await self._queue.arrival(self._options.poll)

    async def _claim(self, limit: int) -> Sequence[Work]:
        """Claim documents; those that arrive while the pipeline closes are released by it."""
        claiming = asyncio.ensure_future(
            self._queue.claim(self._holder, limit, self._options.lease)
        )
        try:
            works = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with contextlib.suppress(PalimpsestError):
                self._hold(await claiming)
            raise
        self._hold(works)
        return works

    def _hold(self, works: Sequence[Work]) -> None:
        self._held.update({(work.job.tenant, work.job.document_id): work.job for work in works})
        if self._held:
            self._idle.clear()

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._options.lease / 3)
            if self._held:
                try:
                    await self._queue.renew(list(self._held.values()), self._options.lease)
                except PalimpsestError as error:
                    log.warning("leases were not renewed: %s", error)
                except Exception:
                    log.exception("leases were not renewed; it will be tried again")

    async def _run(self, works: Sequence[Work]) -> float:
        """Process documents; returns how many seconds they waited for other tenants' calls."""
        waited = 0.0
        jobs = [work.job for work in works]
        try:
            try:
                with self.progress.batch() as batch:
                    waited = await self._process(works, batch)
            except PalimpsestError:
                # The database is unavailable or busy, which is not the documents' fault.
                await self._queue.release(jobs)
                raise
            except Exception:
                log.exception("documents could not be processed; they will be tried again")
                reason = "processing met a fault of the service; its log says more"
                await asyncio.gather(*(self._fail(job, reason, retry=True) for job in jobs))
        except Exception as error:
            # What could not be released is lost with its lease, which is no longer renewed.
            self._forget(jobs)
            if not isinstance(error, PalimpsestError):
                raise
            log.warning("documents wait for the database: %s", error)
            await asyncio.sleep(self._options.poll)
        else:
            self._forget(jobs)
        return waited

    def _forget(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._held.pop((job.tenant, job.document_id), None)
        if not self._held:
            self._idle.set()

    async def _process(self, works: Sequence[Work], batch: BatchProgress) -> float:
        waited = await self._yield_to_others(works)
        batch.enter(Status.CHUNKING, len(works))
        # A document's stage is written while the work goes on.
        _, results = await asyncio.gather(
            self._queue.enter([work.job for work in works], Status.CHUNKING),
            self._chunk(works),
        )
        chunked: list[tuple[Job, ChunkingResult]] = []
        for work, result in zip(works, results, strict=True):
            if isinstance(result, UnreadableContentError):
                await self._fail(work.job, str(result), retry=False)
            elif isinstance(result, (FilesNotReadError, WorkerDiedError)):
                await self._fail(work.job, str(result), retry=True)
            else:
                chunked.append((work.job, result))
        waited += await self._yield_to_others(works)
        batch.enter(Status.EMBEDDING, len(chunked))
        embedded = await self._embed(chunked) if chunked else []
        batch.enter(Status.INDEXING, len(embedded))
        if embedded:
            await self._background.yield_to_foreground()
            waited += await self._yield_to_others(works)
            # Submitted together, the two would be one transaction and the stage never visible.
            await self._queue.enter([job for job, _ in embedded], Status.INDEXING)
            finished = await self._queue.finish(
                [Processed(job, result.changed, result.count) for job, result in embedded]
            )
            self.progress.outcomes["done"] += sum(finished)
            self.progress.outcomes["superseded"] += len(finished) - sum(finished)
        return waited

    async def _yield_to_others(self, works: Sequence[Work]) -> float:
        """The tenant of most of the documents waits for the calls of others, unless they are few.

        Returns how many seconds it waited.
        """
        if len(works) < MIN_BATCH:
            return 0.0
        tenants = Counter(work.job.tenant for work in works)
        return await self._background.yield_to_others(max(tenants, key=tenants.__getitem__))

    async def _chunk(self, works: Sequence[Work]) -> list[_Chunked | WorkerDiedError]:
        """Chunk the documents; for one that its compute workers died of, the error."""
        files = [work for work in works if work.kind in FILE_KINDS]
        if files and len(works) > 1:
            # Each by itself: they may take long, and much memory.
            texts = [work for work in works if work.kind not in FILE_KINDS]
            groups = [[work] for work in files] + ([texts] if texts else [])
            done: dict[int, _Chunked | WorkerDiedError] = {}
            for group, found in zip(
                groups, await asyncio.gather(*map(self._chunk, groups)), strict=True
            ):
                done.update(zip(map(id, group), found, strict=True))
            return [done[id(work)] for work in works]
        try:
            results = await self._background.map(
                chunking.chunk_documents, works, SLICE, self._queue.now()
            )
        except WorkerDiedError as error:
            if len(works) == 1:
                return [error]
        else:
            return [*results]
        # One of them was the cause: each by itself, so that it does not fail the others.
        return [result for work in works for result in await self._chunk([work])]

    async def _embed(
        self, chunked: Sequence[tuple[Job, ChunkingResult]]
    ) -> list[tuple[Job, ChunkingResult]]:
        """Add the missing vectors; documents that get none fail."""
        # Both complete before a document may fail: the stage must not be written after that.
        error, _ = await asyncio.gather(
            self._add_vectors([result for _, result in chunked]),
            self._queue.enter([job for job, _ in chunked], Status.EMBEDDING),
        )
        if error is None:
            return list(chunked)
        # One text may have failed the whole batch.
        apart = isinstance(error, EmbedderRefusedError) and len(chunked) > 1
        embedded = []
        for job, result in chunked:
            failure = await self._add_vectors([result]) if apart else error
            if result.missing and failure is not None:
                await self._fail(job, str(failure), retry=True)
            else:
                embedded.append((job, result))
        return embedded

    async def _add_vectors(self, results: Sequence[ChunkingResult]) -> EmbedderError | None:
        """Give every chunk its vector; on failure none, and the error is returned."""
        wanted = [passage for result in results for _, passage in result.missing]
        try:
            vectors = iter(await self._indexing.vectors(wanted) if wanted else ())
        except EmbedderError as error:
            return error
        for result in results:
            result.add_vectors(vectors, self._indexing.space)
        return None

    async def _fail(self, job: Job, error: str, *, retry: bool) -> None:
        retry_at = None
        if retry and job.attempts < self._options.attempts:
            pause = min(self._options.pause * 4 ** (job.attempts - 1), LONGEST_PAUSE)
            retry_at = self._queue.now() + round(pause * SECOND)
        held = await self._queue.fail(Failed(job, error, retry_at))
        outcome = "failed" if retry_at is None else "retried"
        self.progress.outcomes[outcome if held else "superseded"] += 1

"""The workers: they take documents from the queue and bring them to DONE."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from service.content.base import UnreadableContentError
from service.core.errors import PalimpsestError
from service.core.model import Status
from service.core.times import SECOND
from service.embedding.base import EmbedderError, EmbedderRefusedError
from service.pipeline import chunking
from service.pipeline.chunking import Draft
from service.pipeline.executors import BackgroundScheduler
from service.pipeline.indexing import Indexing
from service.ports.processing import Failed, Job, Processed, Queue, Work
from service.processes.worker_process import WorkerDiedError

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often an idle worker looks for documents that others have queued or given up."""

LONGEST_PAUSE = 300.0

SLICE = 24
"""Documents read and cut at once: some 5 milliseconds of work with short ones."""

GATHER_SECONDS = 0.05
"""How long after some documents the next are taken at the latest, if few come at a time.
While those are at work others arrive, and a few cost as much as many."""

FEWEST = 16
TURN_SECONDS = 0.25
"""A worker takes as many documents as have lately been done in so much time, but no fewer
than these: many cost less each, but who comes new has to wait until they are done."""


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How documents are processed.

    Args:
        lease: Seconds after which a worker that died has lost its documents.
        attempts: Tries before a document is FAILED.
        batch: Documents that one worker takes at once, at most.
        workers: How many work beside each other: one reads and one writes while one embeds.
        pause: Seconds before the second try; each further pause is four times as long.
    """

    lease: float = 20.0
    attempts: int = 5
    batch: int = 256
    workers: int = 3
    pause: float = 1.0


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
        self._looking = asyncio.Lock()
        """Of the worker that looks for documents: one at a time."""
        self._next_look = 0.0
        self._limit = FEWEST
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loops = [self._renew_forever, *[self._work_forever] * self._options.workers]
        self._tasks = [asyncio.create_task(loop()) for loop in loops]

    async def close(self) -> None:
        """Stop, and give back what is not finished."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._held:
            with contextlib.suppress(PalimpsestError):
                await self._queue.release(list(self._held.values()))

    async def _work_forever(self) -> None:
        while True:
            try:
                works = await self._look()
                started = perf_counter()
                await self._take(works)
                a_second = len(works) / (perf_counter() - started)
                self._limit = max(FEWEST, round(TURN_SECONDS * a_second))
            except PalimpsestError as error:
                log.warning("documents wait for the database: %s", error)
                await asyncio.sleep(POLL_SECONDS)
            except Exception:
                log.exception("processing failed; it goes on with the next documents")
                await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> Sequence[Work]:
        """The next documents, as soon as there are some."""
        async with self._looking:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._next_look - perf_counter()):
                        await self._idle.wait()
                await self._background.yield_to_foreground()
                limit = min(self._limit, self._options.batch)
                works = await self._claim(limit)
                if works:
                    few = len(works) < limit
                    self._next_look = perf_counter() + GATHER_SECONDS if few else 0.0
                    return works
                await self._queue.arrival(POLL_SECONDS)

    async def _claim(self, limit: int) -> Sequence[Work]:
        """Take documents; those that come while the pipeline closes are given back by it."""
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

    async def _take(self, works: Sequence[Work]) -> None:
        jobs = [work.job for work in works]
        try:
            try:
                await self._process(works)
            except PalimpsestError:
                # The database is away or busy, which is no fault of the documents.
                await self._queue.release(jobs)
                raise
            except Exception:
                log.exception("documents could not be processed; they will be tried again")
                reason = "processing met a fault of the service; its log says more"
                await asyncio.gather(*(self._fail(job, reason, retry=True) for job in jobs))
        except Exception as error:
            # What could not be given back is lost with its lease: nobody renews it now.
            self._drop(jobs)
            if not isinstance(error, PalimpsestError):
                raise
            log.warning("documents wait for the database: %s", error)
            await asyncio.sleep(POLL_SECONDS)
        else:
            self._drop(jobs)

    def _drop(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._held.pop((job.tenant, job.document_id), None)
        if not self._held:
            self._idle.set()

    async def _process(self, works: Sequence[Work]) -> None:
        # What stage a document is in is written while the work goes on.
        _, made = await asyncio.gather(
            self._queue.enter([work.job for work in works], Status.CHUNKING),
            self._drafts(works),
        )
        drafts: list[tuple[Job, Draft]] = []
        for work, draft in zip(works, made, strict=True):
            if isinstance(draft, UnreadableContentError):
                await self._fail(work.job, str(draft), retry=False)
            elif isinstance(draft, WorkerDiedError):
                await self._fail(work.job, str(draft), retry=True)
            else:
                drafts.append((work.job, draft))
        embedded = await self._embed(drafts) if drafts else []
        if embedded:
            await self._background.yield_to_foreground()
            # Asked for at once, the two would be one transaction and the stage never seen.
            await self._queue.enter([job for job, _ in embedded], Status.INDEXING)
            await self._queue.finish(
                [Processed(job, draft.changed, draft.count) for job, draft in embedded]
            )

    async def _drafts(
        self, works: Sequence[Work]
    ) -> list[Draft | UnreadableContentError | WorkerDiedError]:
        """The documents cut; of one that those who do it do not survive, what became of them."""
        try:
            return [*await self._background.map(chunking.draft, works, SLICE, self._queue.now())]
        except WorkerDiedError as error:
            if len(works) == 1:
                return [error]
        # One of them was too much: each by itself, so that it harms no other.
        return [draft for work in works for draft in await self._drafts([work])]

    async def _embed(self, drafts: Sequence[tuple[Job, Draft]]) -> list[tuple[Job, Draft]]:
        """Fill in what vectors are missing; those that get none have failed."""
        # Both are done before a document may fail: the stage is not to be written after.
        error, _ = await asyncio.gather(
            self._fill([draft for _, draft in drafts]),
            self._queue.enter([job for job, _ in drafts], Status.EMBEDDING),
        )
        if error is None:
            return list(drafts)
        # One text may have spoilt it for all.
        apart = isinstance(error, EmbedderRefusedError) and len(drafts) > 1
        embedded = []
        for job, draft in drafts:
            failure = await self._fill([draft]) if apart else error
            if draft.missing and failure is not None:
                await self._fail(job, str(failure), retry=True)
            else:
                embedded.append((job, draft))
        return embedded

    async def _fill(self, drafts: Sequence[Draft]) -> EmbedderError | None:
        """Give every chunk its vector, or none and say why."""
        wanted = [passage for draft in drafts for _, passage in draft.missing]
        try:
            vectors = iter(await self._indexing.vectors(wanted) if wanted else ())
        except EmbedderError as error:
            return error
        for draft in drafts:
            draft.fill(vectors, self._indexing.space)
        return None

    async def _fail(self, job: Job, error: str, *, retry: bool) -> None:
        retry_at = None
        if retry and job.attempts < self._options.attempts:
            pause = min(self._options.pause * 4 ** (job.attempts - 1), LONGEST_PAUSE)
            retry_at = self._queue.now() + round(pause * SECOND)
        await self._queue.fail(Failed(job, error, retry_at))

"""Metrics of the storage: its batches, its background tasks, and the queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from service.core.errors import PalimpsestError
from service.core.times import SECOND
from service.ports.metrics import Counter, Gauge, Histogram, Metric
from service.runtime.histogram import BucketCounts
from service.storage.statistics import TaskStatistics
from service.storage.store import SqlStore


def storage_metrics(store: SqlStore) -> Iterator[Metric]:
    """What the storage has counted since the server began."""
    batches = store.engine.batches
    yield _histogram("write_batch_mutations", "Mutations in the batches written", batches.sizes)
    yield _histogram(
        "write_batch_duration_seconds",
        "How long the transactions of batches took, the wait for the writer included",
        batches.seconds,
    )
    yield Counter("memories_expired", "Expiries of memories recorded", "", {"": store.expired})
    yield Counter(
        "leases_lapsed",
        "Documents whose worker died or hung, as this server saw it", "",
        {"": store.queue.lapsed},
    )  # fmt: skip
    yield from _task_metrics(store.task_statistics)


def _histogram(name: str, what: str, counts: BucketCounts) -> Histogram:
    return Histogram(name, what, counts.bounds, tuple(counts.counts), counts.total)


def _task_metrics(tasks: Mapping[str, TaskStatistics]) -> Iterator[Metric]:
    yield Counter(
        "upkeep_runs", "Runs of background tasks that succeeded", "task",
        {name: task.runs for name, task in tasks.items()},
    )  # fmt: skip
    yield Counter(
        "upkeep_failures", "Runs of background tasks that are tried again", "task",
        {name: task.failures for name, task in tasks.items()},
    )  # fmt: skip
    yield Gauge(
        "upkeep_last_success_timestamp_seconds",
        "When a background task last succeeded; 0: not since the server began", "task",
        {name: task.last_success / SECOND for name, task in tasks.items()},
    )  # fmt: skip
    yield Gauge(
        "upkeep_last_duration_seconds", "How long its last run that succeeded took", "task",
        {name: task.last_seconds for name, task in tasks.items()},
    )  # fmt: skip


async def size_metrics(store: SqlStore) -> list[Metric]:
    """How large the database is; nothing while that cannot be read."""
    try:
        return list(await store.sizes())
    except PalimpsestError:
        return []


async def queue_metrics(store: SqlStore) -> list[Metric]:
    """How many documents are to be processed, and for how long; none while that cannot be read."""
    try:
        depth = await store.queue.depth()
    except PalimpsestError:
        return []
    now = store.now()

    def age(since: int | None) -> float:
        return 0.0 if since is None else max(0.0, (now - since) / SECOND)

    return [
        Gauge(
            "queue_documents", "Documents to be processed", "state",
            {"waiting": depth.waiting, "in_work": depth.held},
        ),
        Gauge(
            "queue_oldest_seconds", "Since when the oldest of them is to be processed", "state",
            {"waiting": age(depth.waiting_since), "in_work": age(depth.held_since)},
        ),
    ]  # fmt: skip

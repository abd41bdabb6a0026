"""Metrics of processing and of searches."""

from __future__ import annotations

from collections.abc import Iterator

from service.embedding.base import EmbedderUsage
from service.pipeline.progress import Progress
from service.ports.metrics import Counter, Gauge, Metric
from service.ports.search import IndexUsage


def processing_metrics(progress: Progress) -> Iterator[Metric]:
    """What the workers of this server are at, and what became of documents."""
    stages = {stage.name.lower(): load for stage, load in progress.stages().items()}
    yield Gauge(
        "processing_documents", "Documents that this server processes", "stage",
        {stage: load.documents for stage, load in stages.items()},
    )  # fmt: skip
    yield Gauge(
        "processing_oldest_seconds", "How long the oldest of them has been at its stage", "stage",
        {stage: load.oldest_seconds for stage, load in stages.items()},
    )  # fmt: skip
    yield Counter(
        "documents_processed", "Documents that this server has processed", "outcome",
        dict(progress.outcomes),
    )  # fmt: skip


def embedder_metrics(usage: EmbedderUsage) -> Iterator[Metric]:
    """What the server itself has asked its embedder for."""
    asked = "the embedder, by the server itself"
    yield Counter("embedder_calls", f"Calls of {asked}", "outcome", dict(usage.calls))
    yield Counter("embedder_texts", f"Texts given to {asked}", "", {"": usage.texts})
    yield Counter("embedder_seconds", f"Duration of all calls of {asked}", "", {"": usage.seconds})


def index_metrics(usage: IndexUsage) -> Iterator[Metric]:
    """What searches keep in memory."""
    yield Gauge(
        "index_bytes", "Memory of the search indexes, and what they may take up", "kind",
        {"used": usage.used, "limit": usage.limit},
    )  # fmt: skip
    yield Gauge(
        "index_segments",
        "Containers that were searched: their index is in memory (warm), or is not (cold)", "state",
        {"warm": usage.warm, "cold": usage.cold},
    )  # fmt: skip
    yield Counter("index_loads", "Indexes of containers loaded", "", {"": usage.loads})
    yield Counter("index_updates", "Indexes brought up to date", "", {"": usage.updates})
    yield Counter(
        "streamed_searches", "Searches without room in memory, which read all blocks", "",
        {"": usage.streamed},
    )  # fmt: skip

"""What the workers of this server are at, and what became of documents, for monitoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Final, NamedTuple

from service.core.model import Status

STAGES: Final = (Status.CHUNKING, Status.EMBEDDING, Status.INDEXING)
"""Extracting is part of chunking: both are done in one step."""

OUTCOMES: Final = ("done", "failed", "retried", "superseded")
"""A superseded document was written again, or deleted, while it was processed."""


class BatchProgress:
    """Documents that one worker processes together."""

    __slots__ = ("count", "since", "stage")

    def __init__(self) -> None:
        self.stage = STAGES[0]
        self.count = 0
        self.since = monotonic()

    def enter(self, stage: Status, count: int) -> None:
        """So many of the documents have come to this stage; the others are through."""
        self.stage, self.count, self.since = stage, count, monotonic()


class StageLoad(NamedTuple):
    """How many documents are at a stage, and for how many seconds the oldest has been."""

    documents: int = 0
    oldest_seconds: float = 0.0


class Progress:
    """The batches in work, and what became of documents, by the names of OUTCOMES."""

    def __init__(self) -> None:
        self._batches: dict[BatchProgress, None] = {}
        self.outcomes = Counter(dict.fromkeys(OUTCOMES, 0))

    @contextmanager
    def batch(self) -> Iterator[BatchProgress]:
        """Documents that are in work while the block runs."""
        batch = BatchProgress()
        self._batches[batch] = None
        try:
            yield batch
        finally:
            del self._batches[batch]

    def stages(self) -> Mapping[Status, StageLoad]:
        """How much is at each of STAGES."""
        loads = dict.fromkeys(STAGES, StageLoad())
        now = monotonic()
        for batch in self._batches:
            if batch.count:
                documents, oldest = loads[batch.stage]
                loads[batch.stage] = StageLoad(
                    documents + batch.count, max(oldest, now - batch.since)
                )
        return loads

"""One trial: a workload, what is stored of it, and what can be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from service.core import model as m
from service.core.metadata import parse
from service.storage.store import SqlStore
from tests.backends.base import Backend
from tests.deletion.markers import stored_in
from tests.deletion.workload import Workload

SHARE = 0.001
"""Of the dead markers, how many may be in page slack before a scrub."""


@dataclass(frozen=True)
class Findings:
    """Markers found that must not be there, and the other way round."""

    operations: Mapping[str, int]
    live: int
    dead: int
    after_checkpoint: Mapping[str, int]
    """Of the dead ones, how many were in the files before the scrub, by what they were."""
    after_scrub: Mapping[str, int]
    unreadable: int
    seconds: float

    @property
    def share_before(self) -> float:
        return sum(self.after_checkpoint.values()) / self.dead

    def lines(self) -> list[str]:
        return [
            f"deletion: {sum(self.operations.values()):,} operations in {self.seconds:.1f} s: "
            + ", ".join(f"{count:,} {name}" for name, count in sorted(self.operations.items())),
            (
                f"deletion: of {self.dead:,} dead markers {sum(self.after_checkpoint.values()):,} "
                f"({self.share_before:.4%}) were in the files after the checkpoint, "
                f"{sum(self.after_scrub.values()):,} after the scrub; "
                f"of {self.live:,} live ones {self.unreadable:,} could not be read"
            ),
        ]


async def run(
    backend: Backend, store: SqlStore, principal: m.Principal, operations: int, seed: int
) -> Findings:
    """Do so many operations on an empty store, and look."""
    workload = Workload(store, principal, seed)
    started = time.monotonic()
    await workload.run(operations)
    seconds = time.monotonic() - started
    live = workload.live()
    dead = workload.markers.others(live | set(workload.containers))

    await store.sweep()
    assert await store.engine.database.checkpoint()
    before = await asyncio.to_thread(stored_in, backend) & dead
    await asyncio.to_thread(backend.administration.scrub, lambda _: None)
    after = await asyncio.to_thread(stored_in, backend) & dead
    readable = await _readable(store, principal, workload)
    return Findings(
        operations=workload.done,
        live=len(live),
        dead=len(dead),
        after_checkpoint=workload.markers.roles(before),
        after_scrub=workload.markers.roles(after),
        unreadable=len(live - readable),
        seconds=seconds,
    )


async def _readable(store: SqlStore, principal: m.Principal, workload: Workload) -> set[str]:
    """The markers that reads by custom id and lists of memories show."""
    shown: set[str] = set()
    for wanted in workload.documents:
        document = await store.documents.get(principal, wanted.custom_id)
        metadata = parse(document.metadata)
        assert isinstance(document.content, str)
        assert document.containers == wanted.containers
        shown |= {document.custom_id or "", document.title, str(metadata["note"]), *metadata}
        shown.add(document.content.strip("ab"))
    listed = await store.containers.list(principal, "", m.PageRequest(1000))
    shown |= {container.tag for container in listed.items}
    for container in workload.tags():
        query = m.MemoryQuery((container,), include_forgotten=True, include_history=True)
        after: m.Position | None = None
        while True:
            page = await store.memories.list(principal, query, m.PageRequest(1000, after))
            for memory in page.items:
                shown |= {memory.content.strip("ab"), str(parse(memory.metadata)["note"])}
                shown.add(memory.forget_reason)
            if page.next is None:
                break
            after = page.next
    # Why a memory was forgotten before it was restored is kept, and shown of the past only.
    past = {reason for chain in workload.chains for reason in chain.others[1:-1]}
    past |= {reason for chain in workload.chains if not chain.forgotten for reason in chain.others}
    return shown | past

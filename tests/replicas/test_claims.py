"""No document is held by two workers, whatever is written meanwhile, and nothing deadlocks."""

from __future__ import annotations

import asyncio
from pathlib import Path

from service.core import model as m
from tests.backends.selection import backend_of
from tests.replicas.contention import LEASE, WORKERS, contend
from tests.tally import Report, Tally

COUNT = 500


async def test_eight_workers_of_eight_servers_hold_no_document_twice(tmp_path: Path) -> None:
    backend = backend_of(tmp_path)
    stores = [await backend.open() for _ in range(WORKERS)]
    try:
        principal = m.Principal(await stores[0].ensure_tenant("one"), "key")
        writes = [m.DocumentWrite(f"text {n}", f"n{n}", (f"c{n % 7}",)) for n in range(COUNT)]
        await stores[0].documents.batch_upsert(principal, writes, None)

        async def all_of(number: int) -> list[str]:
            taken: list[str] = []
            while works := await stores[number].queue.claim(f"worker {number}", 16, LEASE):
                taken += [work.job.document_id for work in works]
            return taken

        shares = await asyncio.gather(*map(all_of, range(WORKERS)))
        taken = [name for share in shares for name in share]
        assert len(taken) == len(set(taken))
        # What one of them found held by another it leaves to a later claim.
        left = backend.rows("SELECT document_id FROM jobs WHERE holder IS NULL")
        taken += [row.document_id for row in left]
        assert len(set(taken)) == len(taken) == COUNT
    finally:
        for store in stores:
            await store.close()


async def test_claims_against_rewrites_end_in_no_deadlock(tmp_path: Path, report: Report) -> None:
    """The database counts its deadlocks, and a test in which there was one fails."""
    tally = Tally("claims against rewrites")
    report(tally)
    await contend(backend_of(tmp_path), 4, lambda: tally.operations < 6_000, 51, tally)
    assert tally.findings == []

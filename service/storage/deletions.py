"""Deletions that take several transactions: smaller ones where the disk has little room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.storage.containers import purge_previews, purges
from service.storage.documents import bulk_deletes
from service.storage.engine import Engine
from service.storage.transactions import Call

PURGE_PAUSE_SECONDS = 0.001
"""Between two steps of a purge, for everybody else's calls."""

_SMALLER: Final = 4
"""A step that found no room is tried again with one part of it in so many."""


async def run_purge(
    engine: Engine,
    who: m.Principal,
    purge: purges.Purge,
    request: m.IdempotencyKey | None,
    validate_only: bool,
    budget: float | None,
) -> m.BulkDeleteReceipt | m.ContainerDeleteReceipt:
    """Step after step until all is deleted or the budget (seconds) is used up.

    Raises:
        PalimpsestError: STORAGE_FULL when there is no room to delete anything; when there
            was for some, the answer is not complete.
    """
    if validate_only:
        step = await engine.database.read(
            lambda conn: purge_previews.preview(conn, who, purge), tenant=who.tenant
        )
        return step.receipt
    loop = asyncio.get_running_loop()
    stop = float("inf") if budget is None else loop.time() + budget
    receipt: m.BulkDeleteReceipt | m.ContainerDeleteReceipt | None = None
    while True:
        try:
            outcome: purges.Step | m.BulkDeleteReceipt | m.ContainerDeleteReceipt
            outcome = await engine.mutate(
                purges.purge_step, Call(who, purge, request), cost=purge.most, frees=True
            )
        except PalimpsestError as error:
            if error.reason is Reason.STORAGE_FULL and purge.most > 1:
                purge = replace(purge, most=purge.most // _SMALLER or 1)
                continue
            if error.reason is Reason.STORAGE_FULL and receipt is not None:
                return receipt
            raise
        if not isinstance(outcome, purges.Step):
            return outcome
        purge, receipt = outcome.purge, outcome.receipt
        if receipt.complete or loop.time() >= stop:
            return receipt
        await asyncio.sleep(PURGE_PAUSE_SECONDS)


async def run_delete_ids(
    engine: Engine, who: m.Principal, names: Sequence[str], request: m.IdempotencyKey | None
) -> m.BulkDeleteReceipt:
    """All in one transaction if there is room for that; raises like `run_purge`."""
    deletion = bulk_deletes.IdsDelete(names, len(names))
    receipt: m.BulkDeleteReceipt | None = None
    while True:
        try:
            outcome: bulk_deletes.IdsStep | m.BulkDeleteReceipt
            outcome = await engine.mutate(
                bulk_deletes.delete_ids, Call(who, deletion, request), len(names), frees=True
            )
        except PalimpsestError as error:
            if error.reason is Reason.STORAGE_FULL and deletion.most > 1:
                deletion = replace(deletion, most=deletion.most // _SMALLER or 1)
                continue
            if error.reason is Reason.STORAGE_FULL and receipt is not None:
                return receipt
            raise
        if not isinstance(outcome, bulk_deletes.IdsStep):
            return outcome
        deletion, receipt = outcome.deletion, outcome.receipt
        if receipt.complete:
            return receipt

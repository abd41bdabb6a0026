"""Deletions that take several transactions: smaller ones where the disk has little room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Generic, Protocol, Self, TypeAlias, TypeVar

from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.storage.engine import MutationEngine
from service.storage.transactions import Mutation, Operation

PAUSE_SECONDS = 0.001
"""Between two steps, so that other calls get their turn."""

_SMALLER: Final = 4
"""A step that found no room is tried again with one part of it in so many."""


class Deletion(Protocol):
    """What is to be deleted, and how many items of it in one transaction."""

    @property
    def most(self) -> int:
        """Items that one step deletes, at most."""
        ...

    def limited(self, most: int) -> Self:
        """The same with so many items in a step."""
        ...


Receipt: TypeAlias = m.BulkDeleteReceipt | m.ContainerDeleteReceipt

D = TypeVar("D", bound=Deletion)
R = TypeVar("R", bound=Receipt)


@dataclass(frozen=True, slots=True)
class Step(Generic[D, R]):
    """What a step came to: the deletion to go on with, and its receipt."""

    deletion: D
    receipt: R


async def run_steps(
    engine: MutationEngine,
    operation: Operation[D, Step[D, R] | R],
    principal: m.Principal,
    deletion: D,
    request: m.IdempotencyKey | None,
    *,
    weight: int = 1,
    budget: float | None = None,
) -> R:
    """Step after step until all is deleted or the budget (seconds) is used up.

    Args:
        engine: Runs the steps.
        operation: Does one step.
        principal: The caller.
        deletion: The first step.
        request: Names the mutation, if it may be repeated.
        weight: See `MutationEngine.mutate`.
        budget: None: unlimited.

    Raises:
        PalimpsestError: STORAGE_FULL when there is no room to delete anything; when there
            was for some, the answer is not complete.
    """
    loop = asyncio.get_running_loop()
    stop = float("inf") if budget is None else loop.time() + budget
    receipt: R | None = None
    while True:
        try:
            outcome: Step[D, R] | R = await engine.mutate(
                operation,
                Mutation(principal, deletion, request),
                weight,
                cost=deletion.most,
                frees=True,
            )
        except PalimpsestError as error:
            if error.reason is Reason.STORAGE_FULL and deletion.most > 1:
                deletion = deletion.limited(deletion.most // _SMALLER or 1)
                continue
            if error.reason is Reason.STORAGE_FULL and receipt is not None:
                return receipt
            raise
        if not isinstance(outcome, Step):
            return outcome
        deletion, receipt = outcome.deletion, outcome.receipt
        if receipt.complete or loop.time() >= stop:
            return receipt
        await asyncio.sleep(PAUSE_SECONDS)

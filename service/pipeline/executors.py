"""Where computation is done, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import chain
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from service.embedding.turns import Turns
from service.pipeline.encoder import Workshop
from service.runtime.priority import Precedence

P = ParamSpec("P")
T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")


AT_ONCE = 2
"""Slices that one of the hands is given: at work on one, it need not wait for the next."""


class Hands(Protocol):
    """Do work that needs a workshop, with a workshop of their own."""

    @property
    def free(self) -> bool:
        """Whether work done by them takes nothing from this interpreter, and begins at once."""
        ...

    def wake(self) -> None:
        """There will be work: be ready soon."""
        ...

    async def run(
        self, work: Callable[Concatenate[Workshop, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `work`, a function of a module, makes of a workshop and the arguments.

        Raises:
            LostError: Those who did it died of it.
            Exception: What `work` raised.
        """
        ...


class Threads:
    """Threads of this process: only one of them runs at a time."""

    def __init__(self, workshop: Workshop, threads: Executor) -> None:
        self._workshop = workshop
        self._threads = threads

    @property
    def free(self) -> bool:
        return False

    def wake(self) -> None:
        """Nothing: threads are always ready."""

    async def run(
        self, work: Callable[Concatenate[Workshop, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, lambda: work(self._workshop, *args, **kwargs)
        )


class Background:
    """Work that nobody waits for, a slice at a time: others have their turn between.

    Args:
        hands: Who do it.
        precedence: Says when to stand back.
        count: How many the hands are.
        modest: How many of them work while others want to go first, who need processors too.
    """

    def __init__(
        self, hands: Hands, precedence: Precedence, count: int = 1, modest: int = 1
    ) -> None:
        self._hands = hands
        self._precedence = precedence
        self._turns = Turns(AT_ONCE * count)
        self._modest = asyncio.Semaphore(AT_ONCE * modest)

    async def stand_back(self) -> None:
        """Before a step of work: let those go first who wait for an answer."""
        await self._precedence.give()

    async def map(
        self,
        work: Callable[Concatenate[Workshop, Sequence[In], P], Sequence[Out]],
        items: Sequence[In],
        size: int,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[Out]:
        """What `work` makes of the items, `size` of them in a slice.

        Raises:
            LostError: Those who did it died of it.
            Exception: What `work` raised.
        """

        async def one(part: Sequence[In]) -> Sequence[Out]:
            await self.stand_back()
            async with self._modest if self._precedence.wanted else contextlib.nullcontext():
                return await self._hands.run(work, part, *args, **kwargs)

        parts = [items[start : start + size] for start in range(0, len(items), size)]
        return list(chain.from_iterable(await self._turns.map(one, parts)))

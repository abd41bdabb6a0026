"""Helpers: child processes that extract, cut, index and embed.

They begin when there is work, and end when there has been none for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Concatenate, ParamSpec, TypeVar

from service.children import Child, pickled
from service.core.digests import Digester
from service.pipeline import helper_main
from service.pipeline.workshop import Workshop

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 60.0
"""After so long without work a helper ends, and its memory is free."""


class Helpers:
    """So many processes; see `hands.Hands`.

    Args:
        count: How many work beside each other.
        digester: Of the database.
        space: The number of the vector space.
        embedder: What `registry.open_embedder` opens; None: no vectors are made there.
        threads: Where what is sent is pickled, so that the event loop goes on.
        idle: Seconds without work after which a helper ends.
    """

    def __init__(
        self,
        count: int,
        digester: Digester,
        space: int,
        embedder: str | None,
        threads: Executor,
        idle: float = IDLE_SECONDS,
    ) -> None:
        made_of = pickled((idle, digester, space, embedder))
        self._helpers = [Child(helper_main.__name__, made_of, threads) for _ in range(count)]
        self._threads = threads

    @property
    def free(self) -> bool:
        return any(helper.ready for helper in self._helpers)

    def wake(self) -> None:
        for helper in self._helpers:
            helper.wake()

    async def run(
        self, work: Callable[Concatenate[Workshop, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `work` makes of the arguments; all of them are pickled.

        Raises:
            LostError: No helper could be started, or two of them ended in the middle.
            Exception: What `work` raised.
        """
        loop = asyncio.get_running_loop()
        asked = (work, args, kwargs)
        return await self._ask(await loop.run_in_executor(self._threads, pickled, asked))

    async def run_soon(
        self, work: Callable[Concatenate[Workshop, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`run`, of arguments that are pickled sooner than a thread would have begun."""
        return await self._ask(pickled((work, args, kwargs)))

    async def _ask(self, body: bytes) -> T:
        helper = min(self._helpers, key=lambda one: one.load)
        result: T = await helper.ask(body)
        return result

    async def close(self) -> None:
        await asyncio.gather(*(helper.close() for helper in self._helpers))

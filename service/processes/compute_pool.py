"""Helpers: child processes that extract, cut, index and embed.

They begin when there is work, and end when there has been none for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from service.core.digests import Digester
from service.pipeline.encoder import Workshop
from service.pipeline.executors import AT_ONCE, Hands
from service.processes import compute_worker
from service.processes.worker_process import Child, StartError, pickled

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 60.0
"""After so long without work a helper ends, and its memory is free."""


class Helpers:
    """So many processes, as far as there is work for them; see `hands.Hands`.

    Args:
        count: How many work beside each other, at most.
        digester: Of the database.
        space: The number of the vector space.
        embedder: What `registry.open_embedder` opens; None: no vectors are made there.
        idle: Seconds without work after which a helper ends.
        fallback: Does the work while no helper can be started. None: it fails.
    """

    def __init__(
        self,
        count: int,
        digester: Digester,
        space: int,
        embedder: str | None,
        idle: float = IDLE_SECONDS,
        fallback: Hands | None = None,
    ) -> None:
        self._fallback = fallback
        made_of = pickled((idle, digester, space, embedder))
        self._helpers = [Child(compute_worker.__name__, made_of) for _ in range(count)]

    @property
    def free(self) -> bool:
        return any(helper.ready for helper in self._helpers)

    def wake(self) -> None:
        self._helpers[0].wake()

    async def run(
        self, work: Callable[Concatenate[Workshop, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `work` makes of the arguments; all of them are pickled.

        Raises:
            StartError: No helper can be started, and nothing does their work.
            LostError: Two of them ended in the middle.
            Exception: What `work` raised.
        """
        try:
            result: T = await self._helper().ask(pickled((work, args, kwargs)))
        except StartError:
            if self._fallback is None:
                raise
            return await self._fallback.run(work, *args, **kwargs)
        return result

    def _helper(self) -> Child:
        """The first that may be given more. If there is none, another begins."""
        begun = [helper for helper in self._helpers if helper.ready] or self._helpers[:1]
        for helper in begun:
            if helper.load < AT_ONCE:
                return helper
        for helper in self._helpers:
            if helper not in begun:
                helper.wake()
                break
        return min(begun, key=lambda helper: helper.load)

    async def close(self) -> None:
        await asyncio.gather(*(helper.close() for helper in self._helpers))

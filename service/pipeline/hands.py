"""Where computation is done, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from service.pipeline.workshop import Workshop

P = ParamSpec("P")
T = TypeVar("T")


class LostError(Exception):
    """Work was begun more than once and never came to its end."""


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

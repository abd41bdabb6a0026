"""Work on one large request, done where it holds up the event loop for moments only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MANY_ITEMS: Final = 32
"""A request of so many items takes longer to check and convert than a visit to a thread."""

MANY_BYTES: Final = 128 * 1024


async def to_thread_if(many: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns; if there is much of it, from another thread.

    Other calls go on meanwhile: the thread that has the interpreter gives it up when asked.
    """
    if many:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)

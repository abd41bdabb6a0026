"""Work on large requests in threads, so that it does not block the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MANY_ITEMS: Final = 32
"""From so many items on, checking and converting a request takes longer than a thread switch."""

MANY_BYTES: Final = 128 * 1024


async def to_thread_if(many: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, which runs in another thread if `many`.

    Other calls continue meanwhile: threads hand over the interpreter at its switch interval.
    """
    if many:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)

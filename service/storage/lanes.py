"""Reading connections, in lanes: whoever reads takes one and gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Reader(Protocol):
    """What a lane holds."""

    async def settled(self) -> None:
        """Returns when all that the reader was asked for is over."""
        ...


R = TypeVar("R", bound=Reader)


class Lane(Generic[R]):
    """Readers for one kind of reads, and a gate that has them all."""

    def __init__(self, readers: Sequence[R]) -> None:
        self._size = len(readers)
        self._idle: asyncio.LifoQueue[R] = asyncio.LifoQueue()
        self._gate = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()
        for reader in readers:
            self._idle.put_nowait(reader)

    @property
    def all_idle(self) -> bool:
        """Whether nobody has a reader of this lane."""
        return self._idle.qsize() == self._size

    async def use(self, work: Callable[[R], Awaitable[T]]) -> T:
        """Do `work` with a reader that nobody else has."""
        if self._gate.locked():
            async with self._gate:
                pass
        reader = await self._idle.get()
        try:
            result = await work(reader)
        except asyncio.CancelledError:
            # Its thread may still be at it, and its snapshot open.
            task = asyncio.create_task(self._settle(reader))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
            raise
        except BaseException:
            self._idle.put_nowait(reader)
            raise
        self._idle.put_nowait(reader)
        return result

    async def _settle(self, reader: R) -> None:
        try:
            await reader.settled()
        finally:
            self._idle.put_nowait(reader)

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Nobody reads in this lane while the block runs; those who come wait."""
        held: list[R] = []
        async with self._gate:
            try:
                while len(held) < self._size:
                    held.append(await self._idle.get())
                yield
            finally:
                for reader in held:
                    self._idle.put_nowait(reader)

    async def settled(self) -> None:
        """Returns when every reader whose caller was cancelled is back."""
        while self._settling:
            await asyncio.wait(self._settling)

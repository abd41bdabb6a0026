"""Helpers: processes beside the server, which extract, cut, index and embed.

Python runs one thread of a process at a time. What takes long and waits for nothing
is therefore done in another process, and the server's own interpreter answers calls.
Helpers begin when there is work, and end when there has been none for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Concatenate, ParamSpec, TypeVar

from service.core.digests import Digester
from service.pipeline import helper_main
from service.pipeline.hands import LostError
from service.pipeline.workshop import Workshop

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""After so long without work a helper ends, and its memory is free."""

STOP_SECONDS = 5.0
"""How long a helper may take to end its work when the server stops."""

_BUFFER = 1 << 20

_SMALL = 64 * 1024
"""Bytes of an answer that is read without a thread: a fraction of a millisecond."""


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
        made_of = helper_main.dumped((idle, digester, space, embedder))
        self._helpers = [_Helper(made_of, threads) for _ in range(count)]
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
        frame = await loop.run_in_executor(self._threads, helper_main.dumped, asked)
        result: T = await self._ask(frame)
        return result

    async def run_soon(
        self, work: Callable[Concatenate[Workshop, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`run`, of arguments that are pickled sooner than a thread would have begun."""
        result: T = await self._ask(helper_main.dumped((work, args, kwargs)))
        return result

    async def _ask(self, frame: bytes) -> Any:
        helper = min(self._helpers, key=lambda one: one.load)
        try:
            done, value = await helper.ask(frame)
        except LostError:
            # It may have been stopped for a reason of its own.
            done, value = await helper.ask(frame)
        if not done:
            raise value
        return value

    async def close(self) -> None:
        await asyncio.gather(*(helper.close() for helper in self._helpers))


class _Helper:
    """One process, or none while there is no work."""

    def __init__(self, made_of: bytes, threads: Executor) -> None:
        self._made_of = made_of
        self._threads = threads
        self._process: Process | None = None
        self._starting: asyncio.Task[Process] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asked: deque[asyncio.Future[Any]] = deque()
        self.ready = False

    @property
    def load(self) -> int:
        """How much work waits for it."""
        return len(self._asked)

    def wake(self) -> None:
        if self._process is None and self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(self._started)

    async def ask(self, frame: bytes) -> Any:
        """The answer to a frame, in turn; raises LostError."""
        self.wake()
        if self._starting is not None:
            try:
                await asyncio.shield(self._starting)
            except OSError as error:
                raise LostError(f"a helper cannot be started: {error}") from error
        process = self._process
        if process is None:
            raise LostError("a helper ended as soon as it began")
        answer = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        _send(process, frame)
        return await answer

    async def close(self) -> None:
        if self._starting is not None:
            await asyncio.wait((self._starting,))
        process, reading = self._process, self._reading
        if process is None or reading is None:
            return
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        done, _ = await asyncio.wait((reading,), timeout=STOP_SECONDS)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait((reading,))

    async def _start(self) -> Process:
        # As this process finds its modules, whatever it was started from.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", helper_main.__name__),
            stdin=PIPE,
            stdout=PIPE,
            env=environment,
            limit=_BUFFER,
        )

    def _started(self, starting: asyncio.Task[Process]) -> None:
        self._starting = None
        if starting.cancelled() or starting.exception() is not None:
            return
        process = self._process = starting.result()
        _send(process, self._made_of)
        self._reading = asyncio.ensure_future(self._read(process))

    async def _loaded(self, body: bytes) -> Any:
        if len(body) <= _SMALL:
            return pickle.loads(body)  # noqa: S301  (of our own process)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, pickle.loads, body)

    async def _read(self, process: Process) -> None:
        """Hand each answer to who asked, until the process ends."""
        output = process.stdout
        assert output is not None  # noqa: S101
        try:
            while True:
                head = await output.readexactly(helper_main.LENGTH.size)
                body = await output.readexactly(helper_main.LENGTH.unpack(head)[0])
                value = await self._loaded(body)
                if not self.ready:
                    self.ready = True
                elif not (answer := self._asked.popleft()).done():
                    answer.set_result(value)
        except asyncio.IncompleteReadError:
            if code := await process.wait():
                log.warning("a helper ended with %d; another takes its place", code)
        except Exception:
            log.exception("a helper's answer cannot be read; another takes its place")
            process.kill()
        finally:
            self.ready, self._process = False, None
            while self._asked:
                answer = self._asked.popleft()
                if not answer.done():
                    answer.set_exception(LostError("a helper ended in the middle of work"))


def _send(process: Process, frame: bytes) -> None:
    """Without waiting until it is taken: few ask at once, and each waits for its answer."""
    assert process.stdin is not None  # noqa: S101  (for the type checker)
    # One that has ended meanwhile is found out where its answers are read.
    with contextlib.suppress(RuntimeError, OSError):
        process.stdin.write(frame)

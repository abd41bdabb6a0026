"""Child processes: they compute what they are sent, until the server ends.

Python runs one thread of a process at a time. What takes long and waits for nothing
is therefore done in another process, and the server's own interpreter answers calls.

Frames go in by standard input and out by standard output: the length of a body, the
number of the question, both little-endian, and the body, a pickle. The first frame in
tells what the child is made of, and the first one out that it is ready; a child that may
take long over an answer repeats that one meanwhile, since who is silent for long is
ended. A frame without a body says that nobody waits for the question's answer any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import pickle
import signal
import sys
from asyncio.subprocess import PIPE, Process
from struct import Struct
from typing import Any, BinaryIO, Final

log = logging.getLogger(__name__)

HEADER: Final = Struct("<IQ")

STOP_SECONDS = 5.0
"""How long a child may take to end its work when the server stops."""

SILENCE_SECONDS = 30.0
"""After so long without a word a child that was asked something is held to hang.

The most that is asked for at once, 4 MiB of documents, takes some 4 seconds.
"""

_LOOKS = 4
"""How often it is looked for a word in that time: each look lets the event loop read what
has come, so that a server that was itself held up does not blame its child."""

_BEGINNING = 10
"""How many times as long one may be silent that has not begun to answer yet."""

_BUFFER = 1 << 20


class LostError(Exception):
    """Work was begun and never came to its end."""


def pickled(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def frame(number: int, body: bytes) -> bytes:
    return HEADER.pack(len(body), number) + body


def answers() -> BinaryIO:
    """In a child, at its beginning: where its frames go. What a library prints is no answer."""
    # Who stops the server from its terminal stops it alone; it ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    frames = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return frames


def put(frames: BinaryIO, number: int, answer: tuple[bool, object]) -> None:
    """In a child: answer a question with what came of it, or with what it failed of."""
    frames.write(frame(number, pickled(answer)))
    frames.flush()


class Child:
    """One process, or none while there is no work.

    Args:
        module: What it runs.
        made_of: The body of the first frame.
        gives_up: Whether it can be told in the middle of work that nobody waits for it.
    """

    def __init__(self, module: str, made_of: bytes, *, gives_up: bool = False) -> None:
        self._module = module
        self._made_of = made_of
        self._gives_up = gives_up
        self._process: Process | None = None
        self._starting: asyncio.Task[Process] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._heard = False
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self.ready = False

    @property
    def load(self) -> int:
        """How much work waits for it."""
        return len(self._asked)

    def wake(self) -> None:
        """Begin, unless it has begun."""
        if self._process is None and self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(self._started)

    async def ask(self, body: bytes, *, again: bool = True) -> Any:
        """What the child makes of a question.

        Args:
            body: The question.
            again: Whether it is asked a second time if the child ended meanwhile: it
                may have been stopped for a reason of its own.

        Raises:
            LostError: It could not be started, or ended in the middle.
            Exception: What the work raised.
        """
        try:
            done, value = await self._ask(body)
        except LostError:
            if not again:
                raise
            done, value = await self._ask(body)
        if not done:
            raise value
        return value

    async def _ask(self, body: bytes) -> tuple[bool, Any]:
        self.wake()
        if self._starting is not None:
            try:
                await asyncio.shield(self._starting)
            except OSError as error:
                raise LostError(f"a process cannot be started: {error}") from error
        process = self._process
        if process is None:
            raise LostError("a process ended as soon as it began")
        number = next(self._numbers)
        answer: asyncio.Future[tuple[bool, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        _send(process, frame(number, body))
        try:
            return await answer
        except asyncio.CancelledError:
            if self._gives_up:
                _send(process, frame(number, b""))
            raise

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
            *("-m", self._module),
            stdin=PIPE,
            stdout=PIPE,
            env=environment,
            limit=_BUFFER,
        )

    def _started(self, starting: asyncio.Task[Process]) -> None:
        self._starting = None
        if starting.cancelled():
            return
        if (error := starting.exception()) is not None:
            log.warning("%s cannot be started: %s", self._module, error)
            return
        process = self._process = starting.result()
        _send(process, frame(0, self._made_of))
        self._reading = asyncio.ensure_future(self._attend(process))

    async def _attend(self, process: Process) -> None:
        watching = asyncio.ensure_future(self._watch(process))
        try:
            await self._read(process)
        finally:
            watching.cancel()

    async def _watch(self, process: Process) -> None:
        """End a process that hangs: those who wait for it are told, and another begins."""
        silent = 0
        while silent < (_LOOKS if self.ready else _LOOKS * _BEGINNING):
            await asyncio.sleep(SILENCE_SECONDS / _LOOKS)
            silent = 0 if self._heard or not self._asked else silent + 1
            self._heard = False
        log.warning("%s has been silent for too long, and is ended", self._module)
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    async def _read(self, process: Process) -> None:
        """Hand each answer to who asked, until the process ends."""
        output = process.stdout
        assert output is not None  # noqa: S101
        try:
            while True:
                size, number = HEADER.unpack(await output.readexactly(HEADER.size))
                self._heard = True
                body = await output.readexactly(size)
                # Here: in a thread it would keep the interpreter to itself all the same.
                value = pickle.loads(body)  # noqa: S301  (of our own process)
                if not number:
                    self.ready = True
                elif not (answer := self._asked.pop(number)).done():
                    answer.set_result(value)
        except asyncio.IncompleteReadError:
            if code := await process.wait():
                log.warning("%s ended with %d; another takes its place", self._module, code)
        except Exception:
            log.exception("an answer of %s cannot be read", self._module)
            process.kill()
        finally:
            self.ready, self._process = False, None
            lost, self._asked = self._asked, {}
            for answer in lost.values():
                if not answer.done():
                    answer.set_exception(LostError("the process at work on it ended, or hung"))


def _send(process: Process, data: bytes) -> None:
    """Without waiting until it is taken: few ask at once, and each waits for its answer."""
    assert process.stdin is not None  # noqa: S101  (for the type checker)
    # One that has ended meanwhile is found out where its answers are read.
    with contextlib.suppress(RuntimeError, OSError):
        process.stdin.write(data)

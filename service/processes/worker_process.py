"""Child processes: they compute what they are sent, until the server ends.

Python runs one thread of a process at a time. What takes long and waits for nothing
is therefore done in another process, and the server's own interpreter answers calls.

Frames go in by standard input and out by standard output: the length of a body, the
number of the question, both little-endian, and the body, a pickle. The first frame in
tells what the child is made of, and the first one out that it is ready; a child that may
take long over an answer repeats that one meanwhile, since who is silent for long is
ended. A frame without a body says that nobody waits for the question's answer any more.
What a child writes to standard error is logged by the server.

A child runs the server's own code: in isolated mode, with the server's module path,
whatever the current folder and the environment.
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

from service.output import child_logs
from service.output.captured import CapturedOutput
from service.processes import module_path
from service.processes.start_attempts import StartAttempts

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

_OUTPUT_SECONDS: Final = 0.1
"""Lines of a child that come closer together than this may belong together."""

_BOOTSTRAP: Final = """
import signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
sys.path[:] = sys.argv[2:]
import importlib
importlib.import_module(sys.argv[1]).main()
"""
"""Who stops the server from its terminal, or every process of its unit, stops the server:
that ends its children. Nothing is imported before the module path is the server's."""

_STOPPED: Final = {-signal.SIGINT, -signal.SIGTERM}
"""Exit codes of a child that was stopped before it could ignore that."""


class LostError(Exception):
    """Work was begun and never came to its end."""


class StartError(LostError):
    """No process can be started now: the work was not begun."""


def pickled(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def frame(number: int, body: bytes) -> bytes:
    return HEADER.pack(len(body), number) + body


def answers() -> BinaryIO:
    """In a child, at its beginning: where its frames go. What a library prints is no answer."""
    child_logs.configure()
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
        self._starts = StartAttempts(module)
        self._closing = False
        self._heard = False
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self.ready = False

    @property
    def load(self) -> int:
        """How much work waits for it."""
        return len(self._asked)

    def wake(self) -> None:
        """Begin, unless it has begun, or could not lately."""
        idle = self._process is None and self._starting is None
        if idle and self._starts.refusal is None:
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(self._started)

    async def ask(self, body: bytes, *, again: bool = True) -> Any:
        """What the child makes of a question.

        Args:
            body: The question.
            again: Whether it is asked a second time if the child ended meanwhile: it
                may have been stopped for a reason of its own.

        Raises:
            StartError: It cannot be started.
            LostError: It ended in the middle.
            Exception: What the work raised.
        """
        try:
            done, value = await self._ask(body)
        except StartError:
            raise
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
            await asyncio.wait((self._starting,))
        process = self._process
        if process is None:
            raise self._lost("a process ended as soon as it began")
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

    def _lost(self, reason: str) -> LostError:
        refusal = self._starts.refusal
        return LostError(reason) if refusal is None else StartError(refusal)

    async def close(self) -> None:
        self._closing = True
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
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *_interpreter_options(),
            *("-c", _BOOTSTRAP, self._module, *module_path.absolute()),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=_BUFFER,
        )

    def _started(self, starting: asyncio.Task[Process]) -> None:
        self._starting = None
        if starting.cancelled():
            return
        if (error := starting.exception()) is not None:
            self._starts.failed(str(error))
            return
        process = self._process = starting.result()
        _send(process, frame(0, self._made_of))
        self._reading = asyncio.ensure_future(self._attend(process))

    async def _attend(self, process: Process) -> None:
        watching = asyncio.ensure_future(self._watch(process))
        output = CapturedOutput(self._module, structured=True)
        listening = asyncio.ensure_future(self._listen(process, output))
        try:
            await self._read(process)
            code = await process.wait()
            await asyncio.wait((listening,), timeout=STOP_SECONDS)
            self._judge(code, output)
        finally:
            watching.cancel()
            listening.cancel()
            reason = self._lost("the process at work on it ended, or hung")
            self.ready, self._process = False, None
            lost, self._asked = self._asked, {}
            for answer in lost.values():
                if not answer.done():
                    answer.set_exception(reason)

    async def _watch(self, process: Process) -> None:
        """End a process that hangs: those who wait for it are told, and another begins."""
        silent = 0
        while silent < (_LOOKS if self.ready else _LOOKS * _BEGINNING):
            await asyncio.sleep(SILENCE_SECONDS / _LOOKS)
            awaited = self._asked or not self.ready
            silent = 0 if self._heard or not awaited else silent + 1
            self._heard = False
            if silent == _LOOKS and not self.ready:
                log.warning("%s is slow to begin; its work waits", self._module)
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
                    self._starts.succeeded()
                    self.ready = True
                elif not (answer := self._asked.pop(number)).done():
                    answer.set_result(value)
        except asyncio.IncompleteReadError:
            pass
        except Exception:
            log.exception("an answer of %s cannot be read", self._module)
            process.kill()

    async def _listen(self, process: Process, output: CapturedOutput) -> None:
        """Log what the process writes to standard error, until it closes that.

        What one writes before it is ready is kept: it may say why it never will be.
        """
        errors = process.stderr
        assert errors is not None  # noqa: S101  (for the type checker)
        while True:
            pause = _OUTPUT_SECONDS if self.ready and output.unfinished else None
            try:
                async with asyncio.timeout(pause):
                    data = await errors.read(_BUFFER)
            except TimeoutError:
                output.flush()
                continue
            if not data:
                return
            output.feed(data)

    def _judge(self, code: int, output: CapturedOutput) -> None:
        """Tell of a process that ended, unless it was to."""
        if self.ready or self._closing:
            output.flush()
            if code and not self._closing:
                log.warning("%s ended with %d; another takes its place", self._module, code)
        elif code not in _STOPPED:
            text = output.take_text()
            self._starts.failed(output.last or f"it ended with {code} before it was ready", text)


def _interpreter_options() -> list[str]:
    """Isolated from the current folder and from variables; else as this process was started."""
    options = ["-I", f"-Xutf8={sys.flags.utf8_mode}", *(f"-W{entry}" for entry in sys.warnoptions)]
    if sys.flags.dont_write_bytecode:
        options.append("-B")
    if sys.flags.optimize:
        options.append("-" + "O" * sys.flags.optimize)
    if sys.pycache_prefix is not None:
        options.append(f"-Xpycache_prefix={sys.pycache_prefix}")
    return options


def _send(process: Process, data: bytes) -> None:
    """Without waiting until it is taken: few ask at once, and each waits for its answer."""
    assert process.stdin is not None  # noqa: S101  (for the type checker)
    # One that has ended meanwhile is found out where its answers are read.
    with contextlib.suppress(RuntimeError, OSError):
        process.stdin.write(data)

"""Child processes that compute what they are sent, for as long as the server runs.

Python runs one thread of a process at a time. Work that takes long without waiting for
anything is therefore done in another process, and the server's own interpreter answers
requests.

Frames go in by standard input and out by standard output: the length of a body, the
number of the call, both little-endian, and the body, a pickle. The first frame in holds
what the process is initialised with, and the first one out says that it is ready. A
process that may take long over a call repeats that frame meanwhile, as a heartbeat: one
that is silent for long is killed. A frame without a body cancels the call. What a process
writes to standard error is logged by the server.

A process runs the server's own code: in isolated mode, with the server's module path,
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
from dataclasses import dataclass
from struct import Struct
from typing import Any, BinaryIO, Final

from service.output import child_logs
from service.output.captured import CapturedOutput
from service.processes import module_path
from service.processes.start_attempts import PAUSE_SECONDS, StartAttempts

log = logging.getLogger(__name__)

HEADER: Final = Struct("<IQ")

STOP_SECONDS = 5.0
"""How long a process may take to finish its work when the server stops."""

HEARTBEAT_TIMEOUT = 30.0
"""A process with calls in work is held to hang after so many seconds of silence.

The largest call, with 4 MiB of documents, takes some 4 seconds.
"""

CHECKS_PER_TIMEOUT = 4
"""How often in that time it is checked for output: each check lets the event loop read what
has arrived, so that a server that was itself held up does not blame the process."""

_BUFFER = 1 << 20

_STDERR_SECONDS: Final = 0.1
"""Lines of a process that come within this time of each other may belong together."""

BOOTSTRAP: Final = """
import signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
sys.path[:] = sys.argv[2:]
import importlib
importlib.import_module(sys.argv[1]).main()
"""
"""A signal from the server's terminal, or to every process of its unit, also reaches the
server, which then ends its child processes. Nothing is imported before the module path is the
server's."""

_STOPPED: Final = {-signal.SIGINT, -signal.SIGTERM}
"""Exit codes of a process that was stopped before it could ignore the signals."""


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """How a child process is started and watched.

    Args:
        heartbeat_timeout: Seconds of silence after which a process with calls in work is held
            to hang.
        startup_factor: One that is still starting may be silent this many times as long.
        start_pause: Seconds without a further try after starts have failed.
        bootstrap: The program that it begins with.
    """

    heartbeat_timeout: float = HEARTBEAT_TIMEOUT
    startup_factor: float = 10
    start_pause: float = PAUSE_SECONDS
    bootstrap: str = BOOTSTRAP


DEFAULT_OPTIONS: Final = ProcessOptions()


class WorkerDiedError(Exception):
    """Work was started and never finished."""


class StartError(WorkerDiedError):
    """No process can be started now: the work was not begun."""


def pickled(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def frame(number: int, body: bytes) -> bytes:
    return HEADER.pack(len(body), number) + body


def open_results() -> BinaryIO:
    """In the child process, first of all: the stream for its frames.

    What a library prints to standard output goes to standard error instead.
    """
    child_logs.configure()
    frames = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return frames


def send_result(frames: BinaryIO, number: int, result: tuple[bool, object]) -> None:
    """In the child process: send (True, result) or (False, exception) of a call."""
    frames.write(frame(number, pickled(result)))
    frames.flush()


class WorkerProcess:
    """One process, or none while there is no work.

    Args:
        module: The module whose `main` it runs.
        init: The body of the first frame: what it is initialised with.
        cancellable: Whether it understands that a call is cancelled while in work.
        options: How it is started and watched.
    """

    def __init__(
        self,
        module: str,
        init: bytes,
        *,
        cancellable: bool = False,
        options: ProcessOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._module = module
        self._init = init
        self._cancellable = cancellable
        self._options = options
        self._process: Process | None = None
        self._starting: asyncio.Task[Process] | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._starts = StartAttempts(module, options.start_pause)
        self._closing = False
        self._heard = False
        self._pending: dict[int, asyncio.Future[tuple[bool, Any]]] = {}
        self._numbers = itertools.count(1)
        self.ready = False

    @property
    def load(self) -> int:
        """How many calls are waiting or in work."""
        return len(self._pending)

    def wake(self) -> None:
        """Start the process, unless it is running or starts have failed recently."""
        idle = self._process is None and self._starting is None
        if idle and self._starts.refusal is None:
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(self._started)

    async def call(self, body: bytes, *, retry: bool = True) -> Any:
        """Send a call to the process, and return its result.

        Args:
            body: The pickled call.
            retry: Whether it is sent a second time if the process ended meanwhile: it
                may have been stopped for another reason.

        Raises:
            StartError: The process cannot be started.
            WorkerDiedError: It ended before it returned.
            Exception: What the call raised.
        """
        try:
            succeeded, value = await self._call(body)
        except StartError:
            raise
        except WorkerDiedError:
            if not retry:
                raise
            succeeded, value = await self._call(body)
        if not succeeded:
            raise value
        return value

    async def _call(self, body: bytes) -> tuple[bool, Any]:
        self.wake()
        if self._starting is not None:
            await asyncio.wait((self._starting,))
        process = self._process
        if process is None:
            raise self._died("a process ended as soon as it began")
        number = next(self._numbers)
        result: asyncio.Future[tuple[bool, Any]] = asyncio.get_running_loop().create_future()
        self._pending[number] = result
        _send(process, frame(number, body))
        try:
            return await result
        except asyncio.CancelledError:
            if self._cancellable:
                _send(process, frame(number, b""))
            raise

    def _died(self, reason: str) -> WorkerDiedError:
        refusal = self._starts.refusal
        return WorkerDiedError(reason) if refusal is None else StartError(refusal)

    async def close(self) -> None:
        self._closing = True
        if self._starting is not None:
            await asyncio.wait((self._starting,))
        process, supervising = self._process, self._supervising
        if process is None or supervising is None:
            return
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        done, _ = await asyncio.wait((supervising,), timeout=STOP_SECONDS)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait((supervising,))

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *_interpreter_options(),
            *("-c", self._options.bootstrap, self._module, *module_path.absolute()),
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
        _send(process, frame(0, self._init))
        self._supervising = asyncio.ensure_future(self._supervise(process))

    async def _supervise(self, process: Process) -> None:
        watching = asyncio.ensure_future(self._watch_heartbeat(process))
        output = CapturedOutput(self._module, structured=True)
        logging_output = asyncio.ensure_future(self._log_stderr(process, output))
        try:
            await self._read_results(process)
            code = await process.wait()
            await asyncio.wait((logging_output,), timeout=STOP_SECONDS)
            self._report_exit(code, output)
        finally:
            watching.cancel()
            logging_output.cancel()
            reason = self._died("the process at work on it ended, or hung")
            self.ready, self._process = False, None
            lost, self._pending = self._pending, {}
            for result in lost.values():
                if not result.done():
                    result.set_exception(reason)

    async def _watch_heartbeat(self, process: Process) -> None:
        """Kill the process if it hangs: its calls fail, and another one can be started."""
        options, silent = self._options, 0
        while silent < CHECKS_PER_TIMEOUT * (1 if self.ready else options.startup_factor):
            await asyncio.sleep(options.heartbeat_timeout / CHECKS_PER_TIMEOUT)
            awaited = self._pending or not self.ready
            silent = 0 if self._heard or not awaited else silent + 1
            self._heard = False
            if silent == CHECKS_PER_TIMEOUT and not self.ready:
                log.warning("%s is slow to begin; its work waits", self._module)
        log.warning("%s has been silent for too long, and is ended", self._module)
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    async def _read_results(self, process: Process) -> None:
        """Hand each result to its caller, until the process ends."""
        output = process.stdout
        assert output is not None  # noqa: S101
        try:
            while True:
                size, number = HEADER.unpack(await output.readexactly(HEADER.size))
                self._heard = True
                body = await output.readexactly(size)
                # Not in a thread: unpickling would hold the interpreter there, too.
                value = pickle.loads(body)  # noqa: S301  (of our own process)
                if not number:
                    self._starts.succeeded()
                    self.ready = True
                elif not (result := self._pending.pop(number)).done():
                    result.set_result(value)
        except asyncio.IncompleteReadError:
            pass
        except Exception:
            log.exception("an answer of %s cannot be read", self._module)
            process.kill()

    async def _log_stderr(self, process: Process, output: CapturedOutput) -> None:
        """Log what the process writes to standard error, until it closes that.

        What it writes before it is ready is kept: it may say why it never will be.
        """
        errors = process.stderr
        assert errors is not None  # noqa: S101  (for the type checker)
        while True:
            pause = _STDERR_SECONDS if self.ready and output.unfinished else None
            try:
                async with asyncio.timeout(pause):
                    data = await errors.read(_BUFFER)
            except TimeoutError:
                output.flush()
                continue
            if not data:
                return
            output.feed(data)

    def _report_exit(self, code: int, output: CapturedOutput) -> None:
        """Log an exit that was not requested, and count a failed start."""
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
    """Write without draining: callers are few, and each waits for its result."""
    assert process.stdin is not None  # noqa: S101  (for the type checker)
    # That it has ended meanwhile is noticed where its results are read.
    with contextlib.suppress(RuntimeError, OSError):
        process.stdin.write(data)

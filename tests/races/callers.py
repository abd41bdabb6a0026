"""Many callers in several processes of their own, let loose on one server together."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from google.protobuf.message import Message

from tests.harness import REPOSITORY, environment
from tests.races.worker import GO, READY, Shot
from tests.wire import METHODS, Answer

PROCESSES = 4


@dataclass(frozen=True)
class Request:
    """A request, and the seconds after the one before it (or the start) to send it."""

    message: Message
    delay: float = 0.0

    def shot(self) -> Shot:
        path, _ = METHODS[self.message.DESCRIPTOR.full_name]
        return path, self.message.SerializeToString(), self.delay


@dataclass
class Callers:
    """The client processes of a server."""

    processes: list[subprocess.Popen[bytes]]
    sent: int = 0

    def race(self, key: str, messages: Sequence[Message]) -> list[Answer]:
        """Each message by a caller of its own, all at once; answers in their order."""
        return [answers[0] for answers in self.play(key, [[Request(m)] for m in messages])]

    def play(self, key: str, scripts: Sequence[Sequence[Request]]) -> list[list[Answer]]:
        """Each script by a caller of its own; all start together."""
        self.sent += sum(map(len, scripts))
        shares = [scripts[i :: len(self.processes)] for i in range(len(self.processes))]
        for process, share in zip(self.processes, shares, strict=True):
            shots = [[request.shot() for request in script] for script in share]
            pickle.dump((key, shots), _pipe(process.stdin))
            _pipe(process.stdin).flush()
        for process in self.processes:
            assert _pipe(process.stdout).read(1) == READY
        for process in self.processes:
            _pipe(process.stdin).write(GO)
            _pipe(process.stdin).flush()
        answers: list[list[Answer]] = [[] for _ in scripts]
        for i, process in enumerate(self.processes):
            answers[i :: len(self.processes)] = pickle.load(_pipe(process.stdout))
        return answers


@contextmanager
def client_processes(address: str, count: int = PROCESSES) -> Iterator[Callers]:
    """So many processes, connected to the server; ended when the block is left."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.races.worker", address],
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(count)
    ]
    try:
        yield Callers(processes)
        for process in processes:
            pickle.dump(None, _pipe(process.stdin))
            _pipe(process.stdin).flush()
            process.wait(10)
    finally:
        for process in processes:
            process.kill()
            with process:
                pass


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream

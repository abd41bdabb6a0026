"""A helper: a child process with a workshop; see `service.processes.worker_process`."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import sys
from typing import Any

from service.core.digests import Digester
from service.embedding.base import EmbedderError, Purpose
from service.embedding.registry import open_inline
from service.pipeline.encoder import Workshop
from service.processes.worker_process import HEADER, answers, put
from service.runtime import interpreter

OOM_POINTS = 600
"""See `interpreter.sacrifice`: what is lost with this process is computed again."""

NICENESS = 5
"""Documents are nobody's hurry: the server and its searches go first on busy processors."""

_SOURCE = 0


def _read() -> tuple[int, Any]:
    """The next question. Nothing is read ahead, so that `select` sees all that has come."""
    size, number = HEADER.unpack(_exactly(HEADER.size))
    return number, pickle.loads(_exactly(size))  # noqa: S301  (the server's own words)


def _exactly(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = os.read(_SOURCE, size - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


def main() -> None:
    """Serve until the server closes its end, or has sent nothing for a while."""
    frames = answers()
    interpreter.tune()
    interpreter.sacrifice(OOM_POINTS)
    if sys.platform != "win32":
        os.nice(NICENESS)
    with contextlib.suppress(EOFError, BrokenPipeError):
        number, (idle, *parts) = _read()
        workshop = _workshop(*parts)
        interpreter.settled()
        answer: tuple[bool, object] = (True, None)
        while True:
            put(frames, number, answer)
            if not select.select([_SOURCE], [], [], idle)[0]:
                return
            number, asked = _read()
            answer = _answer(workshop, *asked)


def _workshop(digester: Digester, space: int, embedder_name: str | None) -> Workshop:
    if embedder_name is None:
        return Workshop(digester, space, None)
    embedder = open_inline(embedder_name)
    # The model is loaded before anybody is told that this helper is ready.
    with contextlib.suppress(EmbedderError):
        embedder.embed_now(["words"], Purpose.DOCUMENT)
    return Workshop(digester, space, embedder)


def _answer(workshop: Workshop, work: Any, arguments: Any, named: Any) -> tuple[bool, object]:
    try:
        return True, work(workshop, *arguments, **named)
    except Exception as error:  # noqa: BLE001  (goes to the one who asked)
        return False, error


if __name__ == "__main__":
    main()

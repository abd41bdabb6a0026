"""A child process that computes with an `IndexEncoder`; see `service.processes.worker_process`."""

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
from service.pipeline.encoder import IndexEncoder
from service.processes.worker_process import HEADER, open_results, send_result
from service.runtime import interpreter, limits

OOM_POINTS = 600
"""See `interpreter.raise_oom_score`: what is lost with this process is computed again."""

NICENESS = 5
"""Documents can wait: the server and its searches go first on busy processors."""

_SOURCE = 0
_HEARTBEAT = 0
"""Not the number of any call."""


def _read() -> tuple[int, Any]:
    """The next call. Nothing is read ahead, so that `select` sees everything that has arrived."""
    size, number = HEADER.unpack(_exactly(HEADER.size))
    return number, pickle.loads(_exactly(size))  # noqa: S301  (sent by the server)


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
    frames = open_results()
    interpreter.tune()
    interpreter.raise_oom_score(OOM_POINTS)
    if sys.platform != "win32":
        os.nice(NICENESS)
    with contextlib.suppress(EOFError, BrokenPipeError):
        number, (idle, *parts) = _read()
        encoder = _encoder(*parts)
        # A call works in this thread, and answers when it is done: nothing else is written then.
        limits.enable(lambda: send_result(frames, _HEARTBEAT, (True, None)))
        interpreter.freeze_gc()
        result: tuple[bool, object] = (True, None)
        while True:
            send_result(frames, number, result)
            if not select.select([_SOURCE], [], [], idle)[0]:
                return
            number, call = _read()
            result = _run(encoder, *call)


def _encoder(digester: Digester, space: int, embedder_name: str | None) -> IndexEncoder:
    if embedder_name is None:
        return IndexEncoder(digester, space, None)
    embedder = open_inline(embedder_name)
    # The model is loaded before the server is told that this process is ready.
    with contextlib.suppress(EmbedderError):
        embedder.embed_now(["words"], Purpose.DOCUMENT)
    return IndexEncoder(digester, space, embedder)


def _run(encoder: IndexEncoder, work: Any, args: Any, kwargs: Any) -> tuple[bool, object]:
    try:
        return True, work(encoder, *args, **kwargs)
    except Exception as error:  # noqa: BLE001  (goes to the caller)
        return False, error


if __name__ == "__main__":
    main()

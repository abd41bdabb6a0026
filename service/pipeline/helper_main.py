"""A helper: a process that computes what the server sends it, until the server ends.

Frames go in by standard input and out by standard output: a length of four bytes,
little-endian, and a pickle. The first that comes in tells what the workshop is made of.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
from struct import Struct
from typing import Any, Final

from service.core.digests import Digester
from service.embedding.base import InlineEmbedder, Purpose
from service.embedding.registry import open_embedder
from service.pipeline.workshop import Workshop

LENGTH: Final = Struct("<I")

_SOURCE, _ANSWERS, _ERRORS = 0, 1, 2


def dumped(value: object) -> bytes:
    """A frame."""
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def _read() -> Any:
    """The next frame. Nothing is read ahead, so that `select` sees all that has come."""
    return pickle.loads(_exactly(LENGTH.unpack(_exactly(LENGTH.size))[0]))  # noqa: S301  (the server's own words)


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
    # Who stops the server from its terminal stops it alone; it ends its helpers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(_ANSWERS), "wb")
    os.dup2(_ERRORS, _ANSWERS)  # What a library prints is no answer.
    with contextlib.suppress(EOFError, BrokenPipeError):
        idle, *parts = _read()
        workshop = _workshop(*parts)
        answer: tuple[bool, object] = (True, None)
        while True:
            answers.write(dumped(answer))
            answers.flush()
            if not select.select([_SOURCE], [], [], idle)[0]:
                return
            answer = _answer(workshop, *_read())


def _workshop(digester: Digester, space: int, embedder_name: str | None) -> Workshop:
    embedder = None if embedder_name is None else open_embedder(embedder_name)
    assert embedder is None or isinstance(embedder, InlineEmbedder)  # noqa: S101
    workshop = Workshop(digester, space, embedder)
    if embedder is not None:
        # What the first work would otherwise wait for.
        embedder.embed_now(["ready"], Purpose.DOCUMENT)
    return workshop


def _answer(workshop: Workshop, work: Any, arguments: Any, named: Any) -> tuple[bool, object]:
    try:
        return True, work(workshop, *arguments, **named)
    except Exception as error:  # noqa: BLE001  (goes to the one who asked)
        return False, error


if __name__ == "__main__":
    main()

"""Functions that tests run in compute workers, which import this module and little else."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from service.content.base import UnreadableContentError
from service.pipeline import chunking
from service.pipeline.chunking import ChunkingResult
from service.pipeline.encoder import IndexEncoder
from service.pipeline.extracting import FilesNotReadError
from service.ports.processing import Work

POISON = "Nobody can read this."


def add(_: IndexEncoder, left: int, right: int) -> int:
    return left + right


def fail(_: IndexEncoder) -> None:
    raise LookupError("not here")


def own_pid(_: IndexEncoder) -> int:
    return os.getpid()


def die_once(_: IndexEncoder, mark: str) -> str:
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def die(_: IndexEncoder) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(_: IndexEncoder) -> None:
    signal.pause()


def chunk_documents_or(
    end: Callable[[IndexEncoder], None], encoder: IndexEncoder, works: Sequence[Work], now: int
) -> list[ChunkingResult | UnreadableContentError | FilesNotReadError]:
    if any(work.content == POISON for work in works):
        end(encoder)
    return chunking.chunk_documents(encoder, works, now)


def print_much(_: IndexEncoder) -> str:
    print("x" * 100_000)  # noqa: T201
    return "said"


def module_path_of_process(_: IndexEncoder) -> tuple[list[str], bool]:
    return sys.path, bool(sys.flags.isolated)


def log_warning(_: IndexEncoder, how: str) -> int:
    logging.getLogger("work").warning("it is %s", how)
    return os.getpid()

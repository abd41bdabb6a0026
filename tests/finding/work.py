"""What helpers are asked for in tests; they import this module, and so little with it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from service.content.base import UnreadableContentError
from service.pipeline import chunking
from service.pipeline.chunking import Draft
from service.pipeline.encoder import Workshop
from service.ports.processing import Work

POISON = "Nobody can read this."


def add(_: Workshop, left: int, right: int) -> int:
    return left + right


def fail(_: Workshop) -> None:
    raise LookupError("not here")


def own_pid(_: Workshop) -> int:
    return os.getpid()


def die_once(_: Workshop, mark: str) -> str:
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def die(_: Workshop) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(_: Workshop) -> None:
    signal.pause()


def draft_or(
    end: Callable[[Workshop], None], workshop: Workshop, works: Sequence[Work], now: int
) -> list[Draft | UnreadableContentError]:
    if any(work.content == POISON for work in works):
        end(workshop)
    return chunking.draft(workshop, works, now)


def print_much(_: Workshop) -> str:
    print("x" * 100_000)  # noqa: T201
    return "said"


def module_path_of_process(_: Workshop) -> tuple[list[str], bool]:
    return sys.path, bool(sys.flags.isolated)


def log_warning(_: Workshop, how: str) -> int:
    logging.getLogger("work").warning("it is %s", how)
    return os.getpid()

"""Crashes of this process: the stack traces of its threads.

A process that crashes can no longer run Python code; what it can still write is plain text,
with `faulthandler`.
"""

from __future__ import annotations

import faulthandler
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from service.output.captured import FIELDS

log = logging.getLogger("palimpsest.crash")

_NAME: Final = "crash-{}.txt"
_MAX_BYTES: Final = 64 * 1024


@contextmanager
def written(descriptor: int) -> Iterator[None]:
    """Write a crash to a descriptor, at once."""
    faulthandler.enable(descriptor)
    try:
        yield
    finally:
        faulthandler.disable()


@contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Write a crash to a file in a folder, and log it at the next start with that folder.

    The file is locked while its process runs: several processes may use one folder.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _log_earlier(folder)
        path = folder / _NAME.format(os.getpid())
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        log.warning("a crash could not be noted: %s", error)
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with written(descriptor):
            yield
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _log_earlier(folder: Path) -> None:
    for path in sorted(folder.glob(_NAME.format("*"))):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if text := file.read(_MAX_BYTES).decode(errors="replace").strip():
                fields = {"text": text, "file": path.name}
                log.error("the server crashed when it last ran", extra={FIELDS: fields})
            path.unlink(missing_ok=True)

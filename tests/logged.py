"""What the service logs while it runs in the process of the tests."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from service.runtime import logs


@contextmanager
def logged(level: str) -> Iterator[io.StringIO]:
    """Lines of JSON from this level on, instead of whatever was configured before."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(level, "json", stream)
    yield stream
    root.handlers[:], root.level = kept
    structlog.reset_defaults()

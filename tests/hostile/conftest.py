"""The service in this process, as the tests of the RPCs have it, with its log kept short."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from service import logs
from tests.rpc.conftest import client, clock, connect, directory, service

__all__ = ["client", "clock", "connect", "directory", "service"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[io.StringIO]:
    """What the service logs of its own failures; thousands of calls log nothing else."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    root.handlers[:], root.level = kept
    structlog.reset_defaults()

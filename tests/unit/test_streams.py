"""Standard streams that take nothing fail no command and hold up no server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.output.streams import BestEffortWriter, best_effort


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's ends, (source, sink); the sink does not block, so that it can be filled."""
    source, sink = os.pipe()
    yield source, sink
    for end in (source, sink):
        os.close(end)


def fill(sink: int) -> None:
    os.set_blocking(sink, False)
    while True:
        try:
            os.write(sink, b"." * 4096)
        except BlockingIOError:
            break
    os.set_blocking(sink, True)


def test_what_is_written_arrives(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    stream = best_effort(sink, 0.0)
    print("Grüße", "x" * 20_000, file=stream)
    assert os.read(source, 65_536).decode() == f"Grüße {'x' * 20_000}\n"


def test_a_full_device_takes_nothing_and_raises_nothing() -> None:
    full = Path("/dev/full")
    with full.open("wb", buffering=0) as file:
        writer = BestEffortWriter(file.fileno())
        assert writer.write(b"a line\n") == 7
        assert writer.write(b"a line\n") == 7
        assert writer.lost == 2


def test_a_closed_pipe_raises_nothing() -> None:
    source, sink = os.pipe()
    os.close(source)
    writer = BestEffortWriter(sink, 0.0)
    assert writer.write(b"a line\n") == 7
    assert writer.lost == 1
    os.close(sink)


def test_a_full_pipe_blocks_nobody_and_no_line_is_torn(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    fill(sink)
    os.read(source, 4096)
    writer = BestEffortWriter(sink, 0.0)
    long = b"a" * 10_000 + b"\n"
    writer.write(long)
    for _ in range(3):
        writer.write(b"lost\n")
    assert writer.lost == 3
    drained = b""
    while len(drained) < 65_536:
        drained += os.read(source, 65_536)
    writer.write(b"after\n")
    drained += os.read(source, 65_536)
    assert drained.lstrip(b".") == long + b"after\n"

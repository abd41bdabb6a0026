"""Which calls are slow: not those whose callers wanted to wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from service.core.errors import PalimpsestError, Reason
from service.rpc.active_call import ActiveCall
from service.rpc.call_monitor import CallMonitor, CallTraces
from service.rpc.call_statistics import CallStatistics
from service.rpc.origin import Origin, TraceParent, origin_of
from service.rpc.peers import Connection
from service.runtime.call_stages import CallStages
from tests.logged import logged

METHOD = "/palimpsest.v1.Documents/UpsertDocument"
PEER = "ipv4:127.0.0.1:1"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def log() -> Iterator[StringIO]:
    with logged("info") as stream:
        yield stream


def slow_lines(log: StringIO) -> list[dict[str, Any]]:
    lines = map(json.loads, log.getvalue().splitlines())
    return [line for line in lines if line["event"] == "slow call"]


async def ended(monitor: CallMonitor, seconds: float, **stages: float) -> ActiveCall:
    """A call that has ended after so long, with stages of this length."""
    task = asyncio.current_task()
    assert task is not None
    origin = Origin("mine", TraceParent(TRACE, SPAN, sampled=True))
    call = ActiveCall(METHOD, Connection(PEER), task, lambda: origin, monitor.stages())
    call.started -= seconds
    for name, length in stages.items():
        assert call.stages is not None
        call.stages.note(name, call.started, call.started + length)
    monitor.ended(call, "OK", None)
    return call


async def test_a_slow_call_is_logged_once_with_where_its_time_went(log: StringIO) -> None:
    call = await ended(CallMonitor(slow_seconds=100), 1000, queue=600, transaction=300)
    (line,) = slow_lines(log)
    assert line["level"] == "warning"
    assert line["method"] == METHOD
    assert line["code"] == "OK"
    assert line["call_id"] == call.call_id
    assert line["x_request_id"] == "mine"
    assert line["trace_id"] == TRACE
    assert line["stages"]["queue"] == 600
    assert line["stages"]["transaction"] == 300
    assert sum(line["stages"].values()) == pytest.approx(line["seconds"], abs=0.001)


async def test_what_the_caller_waited_for_does_not_count(log: StringIO) -> None:
    monitor = CallMonitor(slow_seconds=100)
    await ended(monitor, 1000, wait=990)
    await ended(monitor, 1000, stream=1000, admission=0)
    assert slow_lines(log) == []
    await ended(monitor, 1000, stream=700)
    assert len(slow_lines(log)) == 1


async def test_without_a_limit_nothing_is_noted_or_logged(log: StringIO) -> None:
    monitor = CallMonitor(slow_seconds=0)
    assert monitor.stages() is None
    await ended(monitor, 1000)
    assert slow_lines(log) == []


async def test_a_call_that_cannot_be_traced_ends_as_others_do(log: StringIO) -> None:
    class Broken(CallTraces):
        def ended(self, *_: object) -> None:
            raise RuntimeError("secret")

    statistics = CallStatistics()
    call = await ended(CallMonitor(statistics, 0, Broken()), 1)
    assert statistics.durations()[METHOD, "OK"].total >= 1
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert line["call_id"] == call.call_id
    assert "secret" not in log.getvalue()


async def test_a_slow_call_that_fails_is_logged_with_its_reason(log: StringIO) -> None:
    monitor = CallMonitor(slow_seconds=100)
    task = asyncio.current_task()
    assert task is not None
    call = ActiveCall(METHOD, Connection(PEER), task, Origin, CallStages())
    call.started -= 1000
    monitor.ended(call, "UNAVAILABLE", PalimpsestError(Reason.STORAGE_UNAVAILABLE, "away"))
    (line,) = slow_lines(log)
    assert (line["code"], line["reason"]) == ("UNAVAILABLE", "STORAGE_UNAVAILABLE")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", TraceParent(TRACE, SPAN, sampled=True)),
        (f"00-{TRACE}-{SPAN}-00", TraceParent(TRACE, SPAN, sampled=False)),
        (f"01-{TRACE}-{SPAN}-03-more", TraceParent(TRACE, SPAN, sampled=True)),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-011", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
    ],
)
def test_the_trace_of_the_caller(header: str, expected: TraceParent | None) -> None:
    assert origin_of([("traceparent", header)]).trace == expected

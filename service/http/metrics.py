"""GET /metrics, in the text format of Prometheus.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ .
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.ports.gauges import Gauge, Gauges
from service.rpc.call_statistics import BOUNDS, CallStatistics, Durations

PREFIX: Final = "palimpsest_"


def endpoint(statistics: CallStatistics, gauges: Gauges, *, everywhere: bool) -> Endpoint:
    """It needs no key, and names no tenant, container or content.

    Args:
        statistics: Of the calls.
        gauges: What else there is.
        everywhere: Whether other machines may ask, too.
    """

    async def answer(_: Calls, __: HttpRequest) -> HttpAnswer:
        read = await gauges.read()
        durations, failures = statistics.durations(), statistics.failures()
        text = await asyncio.to_thread(_text, durations, failures, read)
        return HttpAnswer(200, text, CONTENT_TYPE_PLAIN_0_0_4, (("cache-control", "no-store"),))

    return Endpoint("GET", "/metrics", answer, writes=False, public=True, local_only=not everywhere)


def _text(
    durations: Mapping[tuple[str, str], Durations],
    failures: Mapping[str, int],
    gauges: Sequence[Gauge],
) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(durations, failures, gauges))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(
        self,
        durations: Mapping[tuple[str, str], Durations],
        failures: Mapping[str, int],
        gauges: Sequence[Gauge],
    ) -> None:
        self._durations = durations
        self._failures = failures
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        calls = HistogramMetricFamily(
            f"{PREFIX}call_duration_seconds",
            "Calls that have ended, streams included, and how long they took",
            labels=("transport", "method", "code"),
        )
        for (method, code), durations in sorted(self._durations.items()):
            calls.add_metric((*_named(method), code), _cumulative(durations), durations.seconds)
        yield calls
        failed = CounterMetricFamily(
            f"{PREFIX}failures", "Calls that failed, by reason", labels=("reason",)
        )
        for reason, count in sorted(self._failures.items()):
            failed.add_metric((reason,), count)
        yield failed
        for gauge in self._gauges:
            labels = (gauge.label,) if gauge.label else ()
            family = GaugeMetricFamily(PREFIX + gauge.name, gauge.help, labels=labels)
            for value, amount in sorted(gauge.values.items()):
                family.add_metric((value,) if gauge.label else (), amount)
            yield family


def _named(method: str) -> tuple[str, str]:
    """Transport and method: "/palimpsest.v1.Documents/GetDocument" is gRPC's GetDocument."""
    if method.startswith("/"):
        return "grpc", method.removeprefix("/").removeprefix("palimpsest.v1.").replace("/", ".")
    return "http", method


def _cumulative(durations: Durations) -> list[tuple[str, float]]:
    """As the format has them: each bucket with those before it."""
    total, buckets = 0, []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), durations.buckets, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets

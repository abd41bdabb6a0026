"""GET /metrics, in the text format of Prometheus.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ .
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.ports.metrics import Gauge, Histogram, Metric, Metrics
from service.rpc.call_statistics import CallStatistics
from service.runtime.histogram import BucketCounts

PREFIX: Final = "palimpsest_"


def endpoint(statistics: CallStatistics, metrics: Metrics, *, everywhere: bool) -> Endpoint:
    """It needs no key, and names no tenant, container or content.

    Args:
        statistics: Of the calls.
        metrics: What else there is.
        everywhere: Whether other machines may ask, too.
    """

    async def answer(_: Calls, __: HttpRequest) -> HttpAnswer:
        read = await metrics.read()
        durations, failures = statistics.durations(), statistics.failures()
        text = await asyncio.to_thread(_text, durations, failures, read)
        return HttpAnswer(200, text, CONTENT_TYPE_PLAIN_0_0_4, (("cache-control", "no-store"),))

    return Endpoint("GET", "/metrics", answer, writes=False, public=True, local_only=not everywhere)


def _text(
    durations: Mapping[tuple[str, str], BucketCounts],
    failures: Mapping[str, int],
    metrics: Sequence[Metric],
) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(durations, failures, metrics))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(
        self,
        durations: Mapping[tuple[str, str], BucketCounts],
        failures: Mapping[str, int],
        metrics: Sequence[Metric],
    ) -> None:
        self._durations = durations
        self._failures = failures
        self._metrics = metrics

    def collect(self) -> Iterator[Family]:
        calls = HistogramMetricFamily(
            f"{PREFIX}call_duration_seconds",
            "Calls that have ended, streams included, and how long they took",
            labels=("transport", "method", "code"),
        )
        for (method, code), each in sorted(self._durations.items()):
            buckets = _cumulative(each.bounds, each.counts)
            calls.add_metric((*_named(method), code), buckets, each.total)
        yield calls
        failed = CounterMetricFamily(
            f"{PREFIX}failures", "Calls that failed, by reason", labels=("reason",)
        )
        for reason, count in sorted(self._failures.items()):
            failed.add_metric((reason,), count)
        yield failed
        yield from map(_family, self._metrics)


def _family(metric: Metric) -> Family:
    name = PREFIX + metric.name
    if isinstance(metric, Histogram):
        histogram = HistogramMetricFamily(name, metric.help)
        histogram.add_metric((), _cumulative(metric.bounds, metric.buckets), metric.total)
        return histogram
    labels = (metric.label,) if metric.label else ()
    kind = GaugeMetricFamily if isinstance(metric, Gauge) else CounterMetricFamily
    family = kind(name, metric.help, labels=labels)
    for value, amount in sorted(metric.values.items()):
        family.add_metric((value,) if metric.label else (), amount)
    return family


def _named(method: str) -> tuple[str, str]:
    """Transport and method: "/palimpsest.v1.Documents/GetDocument" is gRPC's GetDocument."""
    if method.startswith("/"):
        return "grpc", method.removeprefix("/").removeprefix("palimpsest.v1.").replace("/", ".")
    return "http", method


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """As the format has them: each bucket with those before it."""
    total, buckets = 0, []
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets

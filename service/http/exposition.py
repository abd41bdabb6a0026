"""The text format of Prometheus.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ .
"""

from __future__ import annotations

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

from service.ports.metrics import Gauge, Histogram, Metric
from service.runtime.histogram import BucketCounts

PREFIX: Final = "palimpsest_"

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


def text(
    durations: Mapping[tuple[str, str], BucketCounts],
    failures: Mapping[str, int],
    metrics: Sequence[Metric],
) -> bytes:
    """What there is to see.

    Args:
        durations: Of calls, by method and code.
        failures: Failed calls by reason.
        metrics: What else there is.
    """
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

"""GET /metrics."""

from __future__ import annotations

import asyncio

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.ports.metrics import Metrics
from service.rpc.call_statistics import CallStatistics


def endpoint(statistics: CallStatistics, metrics: Metrics, *, everywhere: bool) -> Endpoint:
    """It needs no key, and names no tenant, container or content.

    Args:
        statistics: Of the calls.
        metrics: What else there is.
        everywhere: Whether other machines may ask, too.
    """

    async def answer(_: Calls, __: HttpRequest) -> HttpAnswer:
        # Its library is loaded by the first scrape.
        from service.http import exposition

        read = await metrics.read()
        durations, failures = statistics.durations(), statistics.failures()
        text = await asyncio.to_thread(exposition.text, durations, failures, read)
        return HttpAnswer(200, text, exposition.CONTENT_TYPE, (("cache-control", "no-store"),))

    return Endpoint(
        "GET", "/metrics", answer, writes=False, keyless=True, local_only=not everywhere
    )

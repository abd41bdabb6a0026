"""Whether the server lives and serves, for probes and whoever else asks; none of it needs a key."""

from __future__ import annotations

from collections.abc import Callable

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest

_HEADERS = (("cache-control", "no-store"),)


def endpoints(serving: Callable[[], bool]) -> list[Endpoint]:
    """`/health` and `/readyz` answer 200 while `serving` returns true, and 503 otherwise.

    `/healthz` answers 200 as long as the server answers at all, so also while it starts and
    stops: a server that stops must not be ended for that.
    """

    async def ready(_: Calls, __: HttpRequest) -> HttpAnswer:
        if serving():
            return HttpAnswer(200, b'{"status":"SERVING"}', headers=_HEADERS)
        return HttpAnswer(503, b'{"status":"NOT_SERVING"}', headers=_HEADERS)

    async def alive(_: Calls, __: HttpRequest) -> HttpAnswer:
        return HttpAnswer(200, b'{"status":"ALIVE"}', headers=_HEADERS)

    return [
        Endpoint("GET", "/health", ready, writes=False, keyless=True),
        Endpoint("GET", "/readyz", ready, writes=False, keyless=True),
        Endpoint("GET", "/healthz", alive, writes=False, keyless=True),
    ]

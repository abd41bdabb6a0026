"""GET /health: whether the server serves, for whoever asks on behalf of others."""

from __future__ import annotations

from collections.abc import Callable

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest

_HEADERS = (("cache-control", "no-store"),)


def endpoint(serving: Callable[[], bool]) -> Endpoint:
    """It answers 200 while `serving` returns true, and 503 otherwise; it needs no key."""

    async def answer(_: Calls, __: HttpRequest) -> HttpAnswer:
        if serving():
            return HttpAnswer(200, b'{"status":"SERVING"}', headers=_HEADERS)
        return HttpAnswer(503, b'{"status":"NOT_SERVING"}', headers=_HEADERS)

    return Endpoint("GET", "/health", answer, writes=False, public=True)

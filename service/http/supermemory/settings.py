"""/v3/settings: there are none to read or change."""

from __future__ import annotations

from typing import Final

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory.answers import answer
from service.http.supermemory.errors import not_supported


async def _get(_calls: Calls, _request: HttpRequest) -> HttpAnswer:
    return answer({})


async def _update(_calls: Calls, _request: HttpRequest) -> HttpAnswer:
    raise not_supported("Settings of an organization")


ENDPOINTS: Final = (
    Endpoint("GET", "/v3/settings", _get, writes=False),
    Endpoint("PATCH", "/v3/settings", _update, writes=True),
)

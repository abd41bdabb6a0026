"""/v3/connections: there are none."""

from __future__ import annotations

from typing import Final

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory.answers import answer
from service.http.supermemory.errors import not_supported


async def _list(_calls: Calls, _request: HttpRequest) -> HttpAnswer:
    return answer([])


async def _refuse(_calls: Calls, _request: HttpRequest) -> HttpAnswer:
    raise not_supported("Connections to other services")


ENDPOINTS: Final = (
    Endpoint("POST", "/v3/connections/list", _list, writes=False),
    *(
        Endpoint(verb, path, _refuse, writes=verb != "GET")
        for verb, path in (
            ("GET", "/v3/connections/{connection}"),
            ("POST", "/v3/connections/{connection}"),
            ("DELETE", "/v3/connections/{connection}"),
            ("POST", "/v3/connections/{connection}/configure"),
            ("POST", "/v3/connections/{connection}/connection"),
            ("POST", "/v3/connections/{connection}/documents"),
            ("POST", "/v3/connections/{connection}/import"),
            ("GET", "/v3/connections/{connection}/resources"),
        )
    ),
)

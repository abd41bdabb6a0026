"""The pages that need no key: the OpenAPI document, and the page that shows it."""

from __future__ import annotations

import asyncio

from service.http import docs, openapi
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest


def endpoints() -> list[Endpoint]:
    """`/openapi.json` and `/docs`."""
    return [
        Endpoint("GET", "/openapi.json", _openapi, writes=False, keyless=True),
        Endpoint("GET", "/docs", _docs, writes=False, keyless=True),
    ]


# Each is made when it is first asked for, in a thread: others need not wait for it.


async def _openapi(_: Calls, request: HttpRequest) -> HttpAnswer:
    return await asyncio.to_thread(openapi.answer, request.headers)


async def _docs(_: Calls, request: HttpRequest) -> HttpAnswer:
    return await asyncio.to_thread(docs.answer, request.headers)

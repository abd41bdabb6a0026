"""Calls methods of the installed SDK as it is told, line by line; see `tests/http/sdks.py`.

    python driver.py sync|async BASE_URL KEY

It runs in the environment of the SDK, which has nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import sys
from collections.abc import Mapping
from typing import Any

import httpx
import supermemory
from supermemory import AsyncSupermemory, Supermemory


def _given(value: Any) -> Any:
    """What a line can say: JSON, and files."""
    if isinstance(value, Mapping) and "$file" in value:
        return (value["$file"], base64.b64decode(value["data"]))
    return value


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, supermemory.BaseModel):
        return value.to_dict(mode="json")
    return value


def _failure(error: Exception) -> dict[str, Any]:
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "body": getattr(error, "body", None),
        "text": str(error),
    }


class _Driver:
    """The clients, and how many requests they have sent."""

    def __init__(self, kind: str, base_url: str, key: str) -> None:
        self._sent = 0
        self._strict = self._client(kind, base_url, key, strict=True)
        self._lax = self._client(kind, base_url, key, strict=False)

    def _client(self, kind: str, base_url: str, key: str, *, strict: bool) -> Any:
        options: Any = {
            "api_key": key,
            "base_url": base_url,
            "_strict_response_validation": strict,
        }
        hooks: Any = {"request": [self._count if kind == "sync" else self._count_async]}
        if kind == "sync":
            return Supermemory(**options, http_client=httpx.Client(event_hooks=hooks))
        return AsyncSupermemory(**options, http_client=httpx.AsyncClient(event_hooks=hooks))

    def _count(self, _: httpx.Request) -> None:
        self._sent += 1

    async def _count_async(self, _: httpx.Request) -> None:
        self._sent += 1

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        before = self._sent
        try:
            done = await self._called(asked)
        except supermemory.SupermemoryError as error:
            done = {"error": _failure(error)}
        return done | {"requests": self._sent - before}

    async def _called(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        client = self._lax if asked["lax"] else self._strict
        names = asked["method"].split(".")
        if asked["raw"]:
            names.insert(-1, "with_raw_response")
        for name in names:
            client = getattr(client, name)
        keywords = {name: _given(value) for name, value in asked["keywords"].items()}
        made = await _awaited(client(*asked["arguments"], **keywords))
        if not asked["raw"]:
            return {"value": _shown(made)}
        headers = {name.lower(): value for name, value in made.headers.items()}
        parsed = _shown(await _awaited(made.parse()))
        return {"status": made.status_code, "headers": headers, "value": parsed}


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _main() -> None:
    driver = _Driver(*sys.argv[1:])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(await driver.answer(json.loads(line))) + "\n")
        sys.stdout.flush()


asyncio.run(_main())

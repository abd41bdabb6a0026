"""`/mcp`: the tools for agents, over streamable HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import urlencode

from google.protobuf.message import Message

from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.mcp.http_app import McpApp, Scope
from service.rpc.active_call import new_call_id
from service.rpc.failures import failure_of

PATH: Final = "/mcp"

_RPCS: Final = "palimpsest.rpcs"
"""The field of a request's scope with what its caller may call."""


class Mcp:
    """The endpoint of the tools. Each request stands for itself: there are no sessions."""

    def __init__(self) -> None:
        self._app = McpApp(lambda scope: scope[_RPCS])

    def endpoints(self) -> list[Endpoint]:
        # Whether a key may write is asked by the calls of each tool.
        return [Endpoint("POST", PATH, self._handle, writes=False)]

    async def stop(self) -> None:
        """No request follows."""
        await self._app.stop()

    async def _handle(self, calls: Calls, request: HttpRequest) -> HttpAnswer:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "query_string": urlencode(request.query, doseq=True).encode("ascii"),
            "headers": [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in request.headers.items()
            ],
            _RPCS: _Rpcs(calls),
        }
        body = [request.body]
        status, content_type, answer = 500, "", bytearray()

        async def receive() -> MutableMapping[str, Any]:
            if not body:
                # A caller that hangs up has this cancelled.
                await asyncio.get_running_loop().create_future()
            return {"type": "http.request", "body": body.pop(), "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, content_type
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.lower(): value for name, value in message["headers"]}
                content_type = headers.get(b"content-type", b"").decode("latin-1")
            else:
                answer.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        return HttpAnswer(status, bytes(answer), content_type)


class _Rpcs:
    """The calls of one request, with the errors that the service answers."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def call(self, method: str, request: Message) -> Any:
        try:
            return await self._calls.call(method, request)
        except Exception as error:
            raise failure_of(error, new_call_id()) from error

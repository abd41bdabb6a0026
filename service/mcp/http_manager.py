"""The SDK's streamable HTTP, without sessions: no request depends on another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from service.mcp.connection import DEFAULT_CONTAINER, Connection
from service.mcp.rpcs import Rpcs
from service.mcp.server import make_server

if TYPE_CHECKING:
    from starlette.requests import Request

CONTAINER_HEADER: Final = "palimpsest-container"
CONTAINER_PARAMETER: Final = "container"

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of a request."""


def make_manager(rpcs_of: Callable[[Any], Rpcs]) -> StreamableHTTPSessionManager:
    """What answers requests while its `run` is entered, which is possible once.

    Args:
        rpcs_of: What the caller of a request may call, by its ASGI scope.
    """
    logging.getLogger("mcp").setLevel(logging.ERROR)  # warnings name what callers sent

    def connection_of(context: ServerRequestContext[Any, Any]) -> Connection:
        request = cast("Request", context.request)
        container = request.headers.get(CONTAINER_HEADER) or request.query_params.get(
            CONTAINER_PARAMETER
        )
        return Connection(rpcs_of(request.scope), container or DEFAULT_CONTAINER)

    return StreamableHTTPSessionManager(
        make_server(connection_of),
        json_response=True,
        stateless=True,
        max_request_body_size=MAX_BODY,
    )

"""Random messages: none is answered as a failure of the service, and none stops it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import memory_not_found
from service.http.endpoints import HttpRequest
from service.http.mcp import Mcp
from service.mcp.tools import TOOLS

pytestmark = pytest.mark.slow

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ARGUMENTS = sorted({name for tool in TOOLS for name in tool.arguments.model_fields})
VERSIONS = ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28", "9999-99-99"]
PLAUSIBLE = st.sampled_from(["mem_1", "fgt_1", "Tea", "2031-01-01T00:00:00Z", "text", '["mem_1"]'])
CALLS = st.fixed_dictionaries(
    {
        "name": st.sampled_from([tool.name for tool in TOOLS]) | VALUES,
        "arguments": st.dictionaries(st.sampled_from(ARGUMENTS), PLAUSIBLE | VALUES, max_size=4)
        | VALUES,
    },
    optional={"_meta": VALUES},
)
METHODS = st.sampled_from(
    ["initialize", "ping", "server/discover", "tools/list", "resources/list", "nothing"]
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0"),
        "id": st.integers(0, 9) | st.text(max_size=5) | VALUES,
        "method": st.just("tools/call") | METHODS | VALUES,
        "params": CALLS | VALUES,
    },
)
TOOL_CALLS = st.fixed_dictionaries(
    {
        "jsonrpc": st.just("2.0"),
        "id": st.integers(0, 9),
        "method": st.just("tools/call"),
        "params": CALLS,
    }
)
HEADERS = st.fixed_dictionaries(
    {"content-type": st.just("application/json")},
    optional={
        "accept": st.sampled_from(["application/json, text/event-stream", "*/*", "text/html"]),
        "mcp-protocol-version": st.sampled_from(VERSIONS),
        "mcp-method": st.just("tools/call"),
        "mcp-session-id": st.just("a"),
        "palimpsest-container": st.sampled_from(["a", "a b"]),
    },
)


class Rpcs:
    async def call(self, method: str, request: Message) -> Any:
        assert request.SerializeToString() is not None
        raise memory_not_found()


@given(message=MESSAGES | TOOL_CALLS | VALUES, headers=HEADERS)
async def test_any_message_is_answered(message: Any, headers: dict[str, str]) -> None:
    mcp, rpcs = Mcp(), Rpcs()
    [endpoint] = mcp.endpoints()
    request = HttpRequest({}, {}, headers, json.dumps(message).encode())

    answer = await endpoint.handler(rpcs, request)  # type: ignore[arg-type]
    await mcp.stop()

    assert 200 <= answer.status < 500
    assert b"INTERNAL" not in answer.body
    assert b"failed" not in answer.body
    assert b'"code":-32603' not in answer.body.replace(b" ", b"")

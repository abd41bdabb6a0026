"""The OpenAPI document of /v1, which is made with the messages of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from service.http.endpoints import JSON, HttpAnswer
from service.http.static_page import StaticPage


def text() -> bytes:
    """The document, as it is served."""
    return files("palimpsest.v1").joinpath("openapi.json").read_bytes()


def document() -> dict[str, Any]:
    """The document, parsed."""
    parsed: dict[str, Any] = json.loads(text())
    return parsed


def answer(headers: Mapping[str, str]) -> HttpAnswer:
    """What `GET /openapi.json` is answered.

    Args:
        headers: Those of the request, names in lower case.
    """
    return _page().answer(headers)


@cache
def _page() -> StaticPage:
    return StaticPage(text(), JSON)

"""Supermemory's REST API, under /v3 and /v4.

Each handler reads the caller's JSON by hand, calls the contract, and writes the answer by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.http.endpoints import Endpoint
from service.http.supermemory import (
    connections,
    container_tags,
    conversations,
    documents,
    memories,
    profile,
    search_v3,
    search_v4,
    settings,
    uploads,
)
from service.http.supermemory.errors import answer_for

__all__ = ["ENDPOINTS", "answer_for"]

ENDPOINTS: Final[Sequence[Endpoint]] = (
    *documents.ENDPOINTS,
    *uploads.ENDPOINTS,
    *search_v3.ENDPOINTS,
    *search_v4.ENDPOINTS,
    *profile.ENDPOINTS,
    *memories.ENDPOINTS,
    *conversations.ENDPOINTS,
    *container_tags.ENDPOINTS,
    *settings.ENDPOINTS,
    *connections.ENDPOINTS,
)

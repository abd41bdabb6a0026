"""The public Supermemory REST API, under /v3 and /v4.

Each handler reads the caller's JSON by hand, calls the contract, and writes the answer by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from service.http.compat import (
    connections,
    container_tags,
    conversations,
    documents,
    memories,
    profile,
    recall,
    search,
    settings,
    uploads,
)
from service.http.compat.errors import answer_for
from service.http.endpoints import Endpoint

__all__ = ["ENDPOINTS", "answer_for"]

ENDPOINTS: Final[Sequence[Endpoint]] = (
    *documents.ENDPOINTS,
    *uploads.ENDPOINTS,
    *search.ENDPOINTS,
    *recall.ENDPOINTS,
    *profile.ENDPOINTS,
    *memories.ENDPOINTS,
    *conversations.ENDPOINTS,
    *container_tags.ENDPOINTS,
    *settings.ENDPOINTS,
    *connections.ENDPOINTS,
)

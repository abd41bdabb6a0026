"""What one caller has set for its tools."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from palimpsest.v1.memories_pb2 import CreateMemoriesRequest
from service.core.errors import Violation, invalid
from service.mcp.bounds import rules_of
from service.mcp.rpcs import Rpcs

DEFAULT_CONTAINER: Final = "default"

CONTAINER_PATTERN: Final = rules_of(CreateMemoriesRequest, "container_tag").string.pattern
_CONTAINER: Final = re.compile(CONTAINER_PATTERN.removesuffix("$"))


@dataclass(frozen=True, slots=True)
class Connection:
    """The RPCs of a caller, and the container that its tools are about.

    Args:
        rpcs: What the caller may call.
        container: Unless an argument of a tool names another.
    """

    rpcs: Rpcs
    container: str = DEFAULT_CONTAINER


def check_container(container: str, name: str) -> str:
    """The container, if it can be one; else raises PalimpsestError, which calls it `name`."""
    if _CONTAINER.fullmatch(container) is None:
        raise invalid([Violation(name, f"must match {CONTAINER_PATTERN}")])
    return container

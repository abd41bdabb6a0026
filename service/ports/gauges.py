"""What the server can tell of itself at any moment, for monitoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Gauge:
    """A measured quantity.

    Args:
        name: Without the prefix that all have, with the unit at its end: "database_bytes".
        help: What it is, in a sentence.
        label: The name of its label; "" for none.
        values: By value of the label; the only one has the label value "".
    """

    name: str
    help: str
    label: str
    values: Mapping[str, float]


class Gauges(Protocol):
    async def read(self) -> Sequence[Gauge]:
        """Those that can be read now; one that cannot be is left out."""
        ...

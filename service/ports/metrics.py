"""What the server can tell of itself at any moment, for monitoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias


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


@dataclass(frozen=True, slots=True)
class Counter:
    """A quantity that only grows while the server runs; see `Gauge`. Its name gets `_total`."""

    name: str
    help: str
    label: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many of many quantities were how large.

    Args:
        name: As a gauge's.
        help: What they are, in a sentence.
        bounds: Upper bounds of the buckets, ascending; one more bucket has no bound.
        buckets: How many are within each bound, and not within the one before.
        total: The sum of all of them.
    """

    name: str
    help: str
    bounds: Sequence[float]
    buckets: Sequence[int]
    total: float


Metric: TypeAlias = Gauge | Counter | Histogram


class Metrics(Protocol):
    async def read(self) -> Sequence[Metric]:
        """Those that can be read now; one that cannot be is left out."""
        ...

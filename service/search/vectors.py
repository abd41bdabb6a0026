"""The vectors of a segment's rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from service.search.columns import Column, Floats

_ONE = 32_767
"""The whole number that stands for 1."""

_BLOCK = 512
"""Rows made floats at once: few enough to stay in a processor's cache."""


class UnitVectors(Column[np.int16]):
    """A growing matrix of rows of unit length (or zeros), kept as whole numbers of 16 bits.

    To compare a query with all of them takes as long as reading them from memory, and
    these are half as long as float32. A cosine is off by 0.00001 (standard deviation):
    little compared with the 0.0005 of half precision, in which the rows are stored.
    """

    __slots__ = ()

    def __init__(self, dimension: int) -> None:
        super().__init__(np.int16, dimension)

    def extend(self, rows: npt.ArrayLike) -> None:
        """Append rows of unit length, (rows, dimension)."""
        super().extend(np.rint(np.asarray(rows, np.float32) * np.float32(_ONE)))

    def at(self, rows: npt.NDArray[Any]) -> Floats:
        """(rows, dimension) some rows, as floats."""
        return self._floats(rows) / np.float32(_ONE)

    def times(self, vector: Floats) -> Floats:
        """(rows,) the products of all rows with a vector."""
        values, scaled = self.values, vector / np.float32(_ONE)
        products = np.empty(len(values), np.float32)
        block = np.empty((min(_BLOCK, len(values)), len(vector)), np.float32)
        for start in range(0, len(values), _BLOCK):
            part = values[start : start + _BLOCK]
            floats = block[: len(part)]
            np.copyto(floats, part)
            np.dot(floats, scaled, out=products[start : start + _BLOCK])
        return products

    def some_times(self, vector: Floats, rows: npt.NDArray[Any]) -> Floats:
        """(given rows,) the products of some rows, which `times` would give as well."""
        products: Floats = self._floats(rows) @ (vector / np.float32(_ONE))
        return products

    def _floats(self, rows: npt.NDArray[Any]) -> Floats:
        floats: Floats = self.values[rows].astype(np.float32)
        return floats

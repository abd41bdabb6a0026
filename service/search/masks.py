"""Row masks kept with a segment: the results of callers' filters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from service.search.columns import Column, Mask


class Masks:
    """The most recently used masks over the rows of one segment."""

    __slots__ = ("_masks", "_most")

    def __init__(self, most: int = 16) -> None:
        self._masks: OrderedDict[Hashable, Column[np.bool_]] = OrderedDict()
        self._most = most

    def keys(self) -> list[Hashable]:
        return list(self._masks)

    @property
    def nbytes(self) -> int:
        return sum(mask.nbytes for mask in self._masks.values())

    def put(self, key: Hashable, mask: Mask) -> None:
        """Keep a mask; the one unused for longest leaves when there are too many."""
        column = Column(np.bool_)
        column.extend(mask)
        self._masks[key] = column
        self._masks.move_to_end(key)
        if len(self._masks) > self._most:
            self._masks.popitem(last=False)

    def get(self, key: Hashable) -> Mask | None:
        """The mask kept under a key, as it is now; None if there is none."""
        column = self._masks.get(key)
        if column is None:
            return None
        self._masks.move_to_end(key)
        return column.values

    def set_rows(self, key: Hashable, rows: Sequence[int], matches: bool) -> None:
        """Set whether some rows match.

        Raises:
            KeyError: no mask is kept under this key.
        """
        self._masks[key].values[list(rows)] = matches

    def grow(self, rows: int) -> None:
        """Extend every mask by rows that do not match."""
        for mask in self._masks.values():
            mask.extend(np.zeros(rows, np.bool_))

    def take(self, rows: npt.NDArray[np.int64]) -> None:
        """Keep these rows only."""
        for mask in self._masks.values():
            mask.take(rows)

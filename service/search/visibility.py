"""When each row may be found.

As of an instant of the past by its spans; as of now by one instant of the wall clock
alone, as all that has happened has happened, whatever commit time it got.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from service.search.columns import Column, Mask, Rows

Spans: TypeAlias = Sequence[tuple[int, int]]
"""[from, until) in microseconds, in order of time; none: never."""

_NEVER = (0, 0)


class VisibilityIndex:
    """The spans of rows: the last of each in arrays; earlier ones, which few have, in a dict."""

    __slots__ = ("_earlier", "_earlier_arrays", "_earlier_count", "_ends", "_from", "_until")

    def __init__(self) -> None:
        self._from = Column(np.int64)
        self._until = Column(np.int64)
        self._ends = Column(np.int64)
        self._earlier: dict[int, Spans] = {}
        self._earlier_count = 0
        self._earlier_arrays: npt.NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        columns = self._from.nbytes + self._until.nbytes + self._ends.nbytes
        return columns + 250 * self._earlier_count

    def extend(self, spans: Sequence[Spans], ends: Sequence[int]) -> None:
        """Append rows; `ends`: until when each is found as of now."""
        first = len(self._from)
        last = [of_row[-1] if of_row else _NEVER for of_row in spans]
        self._from.extend([span[0] for span in last])
        self._until.extend([span[1] for span in last])
        self._ends.extend(ends)
        for row, of_row in enumerate(spans, first):
            if len(of_row) > 1:
                self._set_earlier(row, of_row[:-1])

    def forget(self, rows: Iterable[int]) -> None:
        """Drop the earlier spans of rows that are dead."""
        for row in rows:
            self._set_earlier(row, ())

    def now(self, wall: int) -> Mask:
        """(rows,) which may be found as of now, by the wall clock."""
        shown: Mask = self._ends.values > wall
        return shown

    def at(self, instant: int) -> Mask:
        """(rows,) which might be found at an instant of the past."""
        mask = (self._from.values <= instant) & (instant < self._until.values)
        if self._earlier:
            if self._earlier_arrays is None:
                self._earlier_arrays = np.array(
                    [(row, *span) for row, spans in self._earlier.items() for span in spans],
                    dtype=np.int64,
                )
            rows, start, until = self._earlier_arrays.T
            mask[rows[(start <= instant) & (instant < until)]] = True
        return mask

    def renumber(self, kept: npt.NDArray[np.int64], numbers: Rows) -> None:
        """Keep these rows only, under their new numbers."""
        self._from.take(kept)
        self._until.take(kept)
        self._ends.take(kept)
        self._earlier = {int(numbers[row]): spans for row, spans in self._earlier.items()}
        self._earlier_arrays = None

    def _set_earlier(self, row: int, spans: Spans) -> None:
        known = self._earlier.pop(row, ())
        if not spans and not known:
            return
        if spans:
            self._earlier[row] = tuple(spans)
        self._earlier_count += len(spans) - len(known)
        self._earlier_arrays = None

"""Arrays that grow at their end."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)


class Column(Generic[Scalar]):
    """A growing array; rows may have a further dimension.

    Appending costs what is appended, taken over many appends: room is made in
    steps of a quarter, so that at most a fifth of the memory is idle.
    """

    __slots__ = ("_data", "_size")

    def __init__(self, dtype: type[Scalar], *shape: int) -> None:
        self._data: npt.NDArray[Scalar] = np.empty((0, *shape), dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> npt.NDArray[Scalar]:
        """The rows, not copied; valid until the next append or take."""
        return self._data[: self._size]

    @property
    def nbytes(self) -> int:
        return self._data.nbytes

    def extend(self, rows: npt.ArrayLike) -> None:
        """Append rows."""
        added = np.asarray(rows, dtype=self._data.dtype)
        needed = self._size + len(added)
        if needed > len(self._data):
            room = max(needed, len(self._data) + len(self._data) // 4)
            grown: npt.NDArray[Any] = np.empty((room, *self._data.shape[1:]), self._data.dtype)
            grown[: self._size] = self.values
            self._data = grown
        self._data[self._size : needed] = added
        self._size = needed

    def take(self, rows: npt.NDArray[np.int64]) -> None:
        """Keep these rows only, in this order."""
        self._data = self.values[rows]
        self._size = len(rows)

    def clear(self) -> None:
        self._data = self._data[:0].copy()
        self._size = 0

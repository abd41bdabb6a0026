"""Arrays that grow at their end."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Scalar = TypeVar("Scalar", bound=np.generic)

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int32]
Counts = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Column(Generic[Scalar]):
    """A growing array; rows may have a further dimension.

    Room doubles when it is short, so that appending costs what is appended, taken
    over many appends. Room that was never written takes up no memory of the machine.
    """

    __slots__ = ("_data", "_size")

    def __init__(self, dtype: type[Scalar], *shape: int) -> None:
        self._data: npt.NDArray[Scalar] = np.empty((0, *shape), dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> npt.NDArray[Scalar]:
        """The rows, not copied; valid until the next change."""
        return self._data[: self._size]

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def extend(self, rows: npt.ArrayLike) -> None:
        """Append rows."""
        added = np.asarray(rows, dtype=self._data.dtype)
        needed = self._size + len(added)
        if needed > len(self._data):
            room = max(needed, 2 * len(self._data))
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


def padded(values: npt.NDArray[Scalar], last: Any) -> npt.NDArray[Scalar]:
    """The values and one more, which is where the index -1 points."""
    return np.append(values, np.asarray(last, values.dtype))

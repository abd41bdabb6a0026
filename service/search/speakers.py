"""The speaker of each row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from service.search.columns import Column, Mask

Name: TypeAlias = tuple[int, ...]
"""The hashed words of a speaker's name, in order; () for none."""

_BYTES_PER_NAME = 400


class Speakers:
    """A number for each name, and each row's."""

    __slots__ = ("_names", "_number", "_numbers", "_with_word")

    def __init__(self) -> None:
        self._names: list[Name] = []
        self._numbers: dict[Name, int] = {}
        self._with_word: dict[int, list[int]] = {}
        self._number = Column(np.int32)

    @property
    def nbytes(self) -> int:
        return self._number.nbytes + _BYTES_PER_NAME * len(self._names)

    def extend(self, names: Sequence[Name]) -> None:
        """Append rows."""
        for name in set(names) - self._numbers.keys():
            self._numbers[name] = len(self._names)
            for word in name:
                self._with_word.setdefault(word, []).append(len(self._names))
            self._names.append(name)
        self._number.extend([self._numbers[name] for name in names])

    def said_by(self, name: Name) -> Mask:
        """(rows,) which rows one speaker says."""
        said: Mask = self._number.values == self._numbers.get(name, -1)
        return said

    def named(self, words: Iterable[int], eligible: Mask) -> set[Name]:
        """The speakers of eligible rows whose name has one of the words."""
        numbers = {number for word in words for number in self._with_word.get(word, ())}
        return {
            self._names[number]
            for number in numbers
            if np.any(eligible & (self._number.values == number))
        }

    def take(self, rows: npt.NDArray[np.int64]) -> None:
        """Keep these rows only, and the names of their speakers."""
        names = [self._names[number] for number in self._number.values[rows].tolist()]
        for emptied in (self._names, self._numbers, self._with_word, self._number):
            emptied.clear()
        self.extend(names)

"""Which rows belong to one document, in what order, and which are neighbours."""

from __future__ import annotations

from collections.abc import Iterable, KeysView, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from service.search.columns import Column, Floats, Rows
from service.search.vectors import UnitVectors

_BLOCK = 4096  # rows of vectors gathered at once: 4 MB at 256 dimensions
_BYTES_PER_GROUP = 250  # its name, number and list of rows, about


class Groups:
    """The groups of rows, and from each row the way to its neighbours.

    Attributes:
        number: of each row's group; 0 for those without.
        before: the row of the neighbour before, or -1.
        after: the row of the neighbour after, or -1.
        place: how many words stand before the row's middle in its group.
        spread: the length of each row's vector after its neighbours' were added to it.
    """

    def __init__(self, neighbourhood: Sequence[float]) -> None:
        self._neighbourhood = tuple(neighbourhood)
        self._names: list[str] = []
        self._numbers: dict[str, int] = {"": 0}
        self._members: dict[str, list[int]] = {}
        self._position = Column(np.int64)
        self.number = Column(np.int32)
        self.before = Column(np.int32)
        self.after = Column(np.int32)
        self.place = Column(np.float32)
        self.spread = Column(np.float32)

    def __bool__(self) -> bool:
        return bool(self._members)

    @property
    def nbytes(self) -> int:
        columns = (
            *(self._position, self.number, self.before, self.after),
            *(self.place, self.spread),
        )
        return sum(c.nbytes for c in columns) + _BYTES_PER_GROUP * len(self._numbers)

    def keys(self) -> KeysView[str]:
        return self._members.keys()

    def members(self, group: str) -> Sequence[int]:
        """The rows of a group in order; none if there is no such group."""
        return self._members.get(group, ())

    def name_at(self, row: int) -> str:
        return self._names[row]

    def position_at(self, row: int) -> int:
        return int(self._position.values[row])

    def extend(self, groups: Sequence[str], positions: Sequence[int], vectors: Floats) -> None:
        """Append rows, "" for no group; `link` has to be called for them."""
        for row, group in enumerate(groups, len(self._names)):
            if group:
                self._members.setdefault(group, []).append(row)
        self._names += groups
        none = np.full(len(groups), -1, np.int32)
        self.before.extend(none)
        self.after.extend(none)
        self.place.extend(np.zeros(len(groups), np.float32))
        self.spread.extend(_lengths(vectors))
        self.number.extend(
            [self._numbers.setdefault(group, len(self._numbers)) for group in groups]
        )
        self._position.extend(positions)

    def leave(self, rows: set[int]) -> set[str]:
        """Take rows out of their groups; returns these groups, for `link`."""
        left = {self._names[row] for row in rows} - {""}
        for pointers in (self.before.values, self.after.values):
            pointers[list(rows)] = -1
        for group in left:
            staying = [row for row in self._members[group] if row not in rows]
            if staying:
                self._members[group] = staying
            else:
                del self._members[group]
        return left

    def link(self, groups: Iterable[str], vectors: UnitVectors, words: Floats) -> None:
        """Sort groups by position, and set the neighbours of each of their rows.

        Args:
            groups: to be linked; those that are gone are ignored.
            vectors: (rows, dimension) of all rows.
            words: (rows,) of all rows.
        """
        lists = [self._members[group] for group in groups if group in self._members]
        if not lists:
            return
        rows = np.array([row for members in lists for row in members])
        sizes = [len(members) for members in lists]
        of_list = np.repeat(np.arange(len(lists)), sizes)
        rows = rows[np.lexsort((rows, self._position.values[rows], of_list))]
        start = 0
        for members in lists:
            end = start + len(members)
            members[:] = rows[start:end].tolist()
            own = words[members].astype(np.float64)
            self.place.values[members] = np.cumsum(own) - own / 2
            start = end

        together = of_list[1:] == of_list[:-1]
        before, after = np.full(len(rows), -1), np.full(len(rows), -1)
        before[1:][together] = rows[:-1][together]
        after[:-1][together] = rows[1:][together]
        moved = rows[(self.before.values[rows] != before) | (self.after.values[rows] != after)]
        self.before.values[rows] = before
        self.after.values[rows] = after
        self._measure(moved, vectors)

    def renumber(self, kept: npt.NDArray[np.int64], numbers: Rows) -> None:
        """Keep these rows only, under their new numbers; `numbers[-1]` is -1."""
        for column in (self._position, self.place, self.spread, self.before, self.after):
            column.take(kept)
        self.before.values[:] = numbers[self.before.values]
        self.after.values[:] = numbers[self.after.values]
        self._members = {
            group: numbers[members].tolist() for group, members in self._members.items()
        }
        names, self._names = self._names, []
        self._names = [names[row] for row in kept.tolist()]
        self._numbers = {"": 0}
        self.number.clear()
        self.number.extend(
            [self._numbers.setdefault(group, len(self._numbers)) for group in self._names]
        )

    def _measure(self, moved: npt.NDArray[np.int64], vectors: UnitVectors) -> None:
        """Fill in `spread` around rows that got other neighbours."""
        touched = moved
        for _ in self._neighbourhood:
            linked = (touched, self.before.values[touched], self.after.values[touched])
            around = np.concatenate(linked).astype(np.int64)
            touched = np.unique(around[around >= 0])
        for start in range(0, len(touched), _BLOCK):
            rows = touched[start : start + _BLOCK]
            total = vectors.at(rows)
            before: npt.NDArray[Any] = rows
            after: npt.NDArray[Any] = rows
            for weight in self._neighbourhood:
                before = np.where(before >= 0, self.before.values[before], -1)
                after = np.where(after >= 0, self.after.values[after], -1)
                for neighbours in (before, after):
                    there = neighbours >= 0
                    total[there] += np.float32(weight) * vectors.at(neighbours[there])
            self.spread.values[rows] = _lengths(total)


def _lengths(vectors: Floats) -> Floats:
    """The lengths of the rows, 1 for those of zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.where(lengths > 0, lengths, np.float32(1))

"""One container's searchable items in memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, KeysView, Sequence
from enum import IntFlag
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from service.core.times import FOREVER
from service.search.columns import Column
from service.search.entry import decode_entries, decode_vectors
from service.search.masks import Mask, Masks
from service.search.postings import Counts, Postings, Rows

ALWAYS = ((-FOREVER, FOREVER),)
"""The `shown` of an item that is found whenever it is there."""

_LEAST_DEAD = 1024
_BLOCK = 4096  # rows of vectors gathered at once: 4 MB at 256 dimensions
_BYTES_PER_ITEM = 250  # the id, its place in the dictionary and the lists, measured


class Kind(IntFlag):
    """What an item is; a search may want either or both."""

    MEMORY = 1
    CHUNK = 2


class Item(NamedTuple):
    """One searchable thing, as it comes from its row."""

    id: str
    """Of the memory version or the chunk; unique in the container."""

    kind: Kind
    entry: bytes
    """From `encode_entry`."""

    digest: bytes
    """Of the text, 8 bytes or more: items with one digest are found once."""

    vector: bytes | None = None
    """From `encode_vectors`; None: not embedded, found by its words alone."""

    group: str = ""
    """The document of a chunk; "" for a memory, which has no neighbours."""

    position: int = 0
    """Ascending within the group."""

    shown: Sequence[tuple[int, int]] = ALWAYS
    """When it may be found: [from, until) in microseconds, in order of time. Chunks: `ALWAYS`."""


class Segment:
    """The items of one (tenant, container), kept ready for ranking.

    Every change costs what it changes, taken over many: rows are appended, what is
    replaced or removed is marked dead, and the dead are swept out when they are a
    quarter. Not safe for two threads at once: the caller holds a lock while changing
    and while ranking.
    """

    def __init__(self, dimension: int, neighbourhood: Sequence[float] = ()) -> None:
        """Make an empty one.

        Args:
            dimension: of the vectors; 0 if there are none.
            neighbourhood: how much of the vector of the neighbour at distance 1, 2, …
                in its group goes into an item's own when it is compared with a query.
        """
        self.dimension = dimension
        self.neighbourhood = tuple(neighbourhood)
        self._postings = Postings()
        self._masks = Masks()
        self._ids: list[str] = []
        self._groups: list[str] = []
        self._row_of: dict[str, int] = {}
        self._rows_of_group: dict[str, list[int]] = {}
        self._older_spans: dict[int, tuple[tuple[int, int], ...]] = {}
        self.speakers: dict[tuple[int, ...], int] = {(): 0}
        """The hashed words of every speaker's name, and the number that stands for them."""
        self._group_numbers: dict[str, int] = {"": 0}
        self._dead = 0

        self._alive = Column(np.bool_)
        self._kind = Column(np.uint8)
        self._group = Column(np.int32)
        self._position = Column(np.int64)
        self._digest = Column(np.uint64)
        self._shown_from = Column(np.int64)
        self._shown_until = Column(np.int64)
        self._length = Column(np.float32)
        self._words = Column(np.float32)
        self._asks = Column(np.bool_)
        self._tells_time = Column(np.bool_)
        self._speaker = Column(np.int32)
        self._before = Column(np.int32)
        self._after = Column(np.int32)
        self._vectors = Column(np.float32, dimension)
        self._embedded = Column(np.bool_)
        self._spread = Column(np.float32)

    # What is there

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._row_of)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._row_of

    @property
    def rows(self) -> int:
        """How many rows the arrays have, dead ones too."""
        return len(self._ids)

    @property
    def nbytes(self) -> int:
        """Memory in bytes, room to grow included; objects of Python by an estimate."""
        arrays = sum(column.nbytes for column in self._columns())
        return (
            arrays
            + self._postings.nbytes
            + self._masks.nbytes
            + _BYTES_PER_ITEM * (len(self._ids) + len(self._rows_of_group))
        )

    def ids_of_group(self, group: str) -> list[str]:
        """The ids of a document's chunks in order; empty if it has none."""
        return [self._ids[row] for row in self._rows_of_group.get(group, ())]

    # Changes

    def put(self, items: Sequence[Item]) -> None:
        """Add items; those whose id is there replace what it stood for.

        Raises:
            UnreadableEntryError, ValueError: an entry or vector that cannot be decoded, two items
                of one id, or a member of a group that is not always shown. Nothing is changed.
        """
        self._check(items)
        entries = decode_entries([item.entry for item in items])
        embedded = [item.vector is not None for item in items]
        vectors = np.zeros((len(items), self.dimension), np.float32)
        vectors[embedded] = decode_vectors(
            [item.vector for item in items if item.vector is not None], self.dimension
        )

        touched = self._bury(self._row_of[i.id] for i in items if i.id in self._row_of)
        first, count = self.rows, len(items)
        for row, item in enumerate(items, first):
            self._ids.append(item.id)
            self._groups.append(item.group)
            self._row_of[item.id] = row
            if item.group:
                touched.add(item.group)
                self._rows_of_group.setdefault(item.group, []).append(row)
            if len(item.shown) > 1:
                self._older_spans[row] = tuple(item.shown[:-1])
        new_rows = np.arange(first, first + count, dtype=np.int32)
        self._postings.add(entries.terms, np.repeat(new_rows, entries.sizes), entries.counts)
        last_spans = [item.shown[-1] if item.shown else (0, 0) for item in items]
        speakers = [self.speakers.setdefault(s, len(self.speakers)) for s in entries.speakers]
        numbers = self._group_numbers
        groups = [numbers.setdefault(item.group, len(numbers)) for item in items]
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        nobody = np.full(count, -1, np.int32)
        for column, values in (
            (self._alive, np.ones(count, np.bool_)),
            (self._kind, [int(item.kind) for item in items]),
            (self._group, groups),
            (self._position, [item.position for item in items]),
            (self._digest, np.frombuffer(b"".join(i.digest[:8] for i in items), dtype="<u8")),
            (self._shown_from, [span[0] for span in last_spans]),
            (self._shown_until, [span[1] for span in last_spans]),
            (self._length, entries.lengths),
            (self._words, entries.words),
            (self._asks, entries.asks),
            (self._tells_time, entries.tells_time),
            (self._speaker, speakers),
            (self._before, nobody),
            (self._after, nobody),
            (self._vectors, vectors),
            (self._embedded, embedded),
            (self._spread, np.where(norms > 0, norms, 1)),
        ):
            column.extend(values)
        self._masks.grow(count)
        self._link(touched)
        self._sweep()

    def replace_group(self, group: str, items: Sequence[Item]) -> None:
        """Make these the only items of a group."""
        kept = {item.id for item in items}
        self.remove([item_id for item_id in self.ids_of_group(group) if item_id not in kept])
        self.put(items)

    def remove(self, ids: Iterable[str]) -> None:
        """Remove items; ids that are not there are passed over."""
        self._link(self._bury(self._row_of[i] for i in ids if i in self._row_of))
        self._sweep()

    def remove_group(self, group: str) -> None:
        """Remove all items of a group."""
        self.remove(self.ids_of_group(group))

    def set_shown(self, item_id: str, shown: Sequence[tuple[int, int]]) -> None:
        """Say anew when a memory may be found.

        Raises:
            KeyError: there is no such item.
        """
        row = self._row_of[item_id]
        self._older_spans.pop(row, None)
        if len(shown) > 1:
            self._older_spans[row] = tuple(shown[:-1])
        last = shown[-1] if shown else (0, 0)
        self._shown_from.values[row], self._shown_until.values[row] = last

    # Masks of callers' filters, by owner: the group of a chunk, the id of a memory

    def masks(self) -> list[Hashable]:
        """The keys of the masks that are kept."""
        return self._masks.keys()

    def mask(self, key: Hashable) -> Mask | None:
        """(rows,) the mask kept under a key, or None."""
        return self._masks.get(key)

    def keep_mask(self, key: Hashable, owners: Iterable[str]) -> Mask:
        """Keep, and return, the mask of the items of these owners (document and memory ids)."""
        mask = self.rows_of_owners(owners)
        self._masks.put(key, mask)
        return mask

    def patch_mask(self, key: Hashable, owner: str, matches: bool) -> None:
        """Say of one owner whether it matches; needed for every owner that is put again.

        Raises:
            KeyError: no mask is kept under this key.
        """
        self._masks.set_rows(key, self._rows_of_owner(owner), matches)

    def present(self, kinds: Kind, mask: Mask) -> Mask:
        """(rows,) what is there of a kind within `mask`, whenever it is shown."""
        return mask & self._alive.values & ((self._kind.values & kinds) != 0)

    def eligible(self, kinds: Kind, at: int, mask: Mask | None = None) -> Mask:
        """(rows,) what may be found: alive, of a kind, shown at an instant, within `mask`."""
        shown = (self._shown_from.values <= at) & (at < self._shown_until.values)
        for row, spans in self._older_spans.items():
            if any(start <= at < end for start, end in spans):
                shown[row] = True
        shown &= self._alive.values
        if kinds != Kind.MEMORY | Kind.CHUNK:
            shown &= self._kind.values == kinds
        if mask is not None:
            shown &= mask
        return shown

    # What ranking reads; arrays are views over all rows, dead ones too

    def id_at(self, row: int) -> str:
        return self._ids[row]

    def group_at(self, row: int) -> str:
        return self._groups[row]

    def position_at(self, row: int) -> int:
        return int(self._position.values[row])

    def kind_at(self, row: int) -> Kind:
        return Kind(int(self._kind.values[row]))

    def find(self, term: int) -> tuple[Rows, Counts]:
        """The rows that hold a term (dead ones too), each once, and how often each does."""
        return self._postings.find(term)

    def groups(self) -> KeysView[str]:
        """The documents that have chunks here."""
        return self._rows_of_group.keys()

    def rows_of_owners(self, owners: Iterable[str]) -> Mask:
        """(rows,) the mask of the items of these documents and memories."""
        mask = np.zeros(self.rows, np.bool_)
        for owner in owners:
            mask[self._rows_of_owner(owner)] = True
        return mask

    @property
    def has_groups(self) -> bool:
        return bool(self._rows_of_group)

    @property
    def group(self) -> Rows:
        """A number for each row's group; 0 for those without."""
        return self._group.values

    @property
    def digest(self) -> npt.NDArray[np.uint64]:
        return self._digest.values

    @property
    def length(self) -> npt.NDArray[np.float32]:
        """Occurrences of terms."""
        return self._length.values

    @property
    def words(self) -> npt.NDArray[np.float32]:
        return self._words.values

    @property
    def asks(self) -> Mask:
        return self._asks.values

    @property
    def tells_time(self) -> Mask:
        return self._tells_time.values

    @property
    def speaker(self) -> Rows:
        """The number of each row's speaker in `speakers`; 0: nobody."""
        return self._speaker.values

    @property
    def before(self) -> Rows:
        """The row of the neighbour before in the group, or -1."""
        return self._before.values

    @property
    def after(self) -> Rows:
        """The row of the neighbour after in the group, or -1."""
        return self._after.values

    @property
    def vectors(self) -> npt.NDArray[np.float32]:
        """(rows, dimension) of unit length, or zero where there is none."""
        return self._vectors.values

    @property
    def embedded(self) -> Mask:
        return self._embedded.values

    @property
    def spread(self) -> npt.NDArray[np.float32]:
        """The length of each row's vector after its neighbours' were added to it."""
        return self._spread.values

    # Upkeep

    def _columns(self) -> list[Column[Any]]:
        return [value for value in vars(self).values() if isinstance(value, Column)]

    def _check(self, items: Sequence[Item]) -> None:
        if len({item.id for item in items}) != len(items):
            raise ValueError("two items of one id")
        if any(item.group and item.shown != ALWAYS for item in items):
            raise ValueError("a member of a group is always shown")

    def _rows_of_owner(self, owner: str) -> list[int]:
        rows = self._rows_of_group.get(owner)
        if rows is not None:
            return rows
        row = self._row_of.get(owner)
        return [] if row is None else [row]

    def _bury(self, rows: Iterable[int]) -> set[str]:
        """Mark rows dead; the groups they leave, still to be linked."""
        dead = set(rows)
        groups = {self._groups[row] for row in dead} - {""}
        for row in dead:
            del self._row_of[self._ids[row]]
            self._older_spans.pop(row, None)
        for group in groups:
            left = [row for row in self._rows_of_group[group] if row not in dead]
            if left:
                self._rows_of_group[group] = left
            else:
                del self._rows_of_group[group]
        self._alive.values[list(dead)] = False
        self._dead += len(dead)
        return groups

    def _link(self, groups: set[str]) -> None:
        """Bring groups into order, and each of their rows to know its neighbours."""
        lists = [self._rows_of_group[group] for group in groups if group in self._rows_of_group]
        if not lists:
            return
        rows = np.fromiter((row for rows in lists for row in rows), dtype=np.int64)
        numbers = np.repeat(np.arange(len(lists)), [len(rows) for rows in lists])
        order = np.lexsort((rows, self._position.values[rows], numbers))
        rows, numbers = rows[order], numbers[order]
        start = 0
        for members in lists:
            end = start + len(members)
            members[:] = rows[start:end].tolist()
            start = end

        together = numbers[1:] == numbers[:-1]
        before, after = np.full(len(rows), -1), np.full(len(rows), -1)
        before[1:][together] = rows[:-1][together]
        after[:-1][together] = rows[1:][together]
        moved = rows[(self.before[rows] != before) | (self.after[rows] != after)]
        self._before.values[rows] = before
        self._after.values[rows] = after
        self._respread(moved)

    def _respread(self, moved: npt.NDArray[np.int64]) -> None:
        """Measure anew the lengths of the vectors around rows that got other neighbours."""
        touched = moved
        for _ in self.neighbourhood:
            beside = (touched, self.before[touched], self.after[touched])
            around = np.concatenate(beside).astype(np.int64)
            touched = np.unique(around[around >= 0])
        for start in range(0, len(touched), _BLOCK):
            rows = touched[start : start + _BLOCK]
            total = self.vectors[rows]
            before: npt.NDArray[Any] = rows
            after: npt.NDArray[Any] = rows
            for weight in self.neighbourhood:
                before, after = (_step(before, self.before), _step(after, self.after))
                for neighbours in (before, after):
                    there = neighbours >= 0
                    total[there] += np.float32(weight) * self.vectors[neighbours[there]]
            norms = np.sqrt(np.einsum("ij,ij->i", total, total))
            self._spread.values[rows] = np.where(norms > 0, norms, 1)

    def _sweep(self) -> None:
        """Drop dead rows when they are many; rows get new numbers."""
        if self._dead <= max(_LEAST_DEAD, self.rows // 4):
            return
        kept = np.flatnonzero(self._alive.values)
        numbers = np.full(self.rows + 1, -1, np.int32)  # one more, so that -1 stays -1
        numbers[kept] = np.arange(len(kept), dtype=np.int32)
        self._postings.renumber(numbers)
        self._masks.take(kept)
        for column in self._columns():
            column.take(kept)
        self._before.values[:] = numbers[self.before]
        self._after.values[:] = numbers[self.after]
        rows = kept.tolist()
        self._ids = [self._ids[row] for row in rows]
        self._groups = [self._groups[row] for row in rows]
        self._row_of = {item_id: row for row, item_id in enumerate(self._ids)}
        self._rows_of_group = {
            group: numbers[members].tolist() for group, members in self._rows_of_group.items()
        }
        self._older_spans = {int(numbers[r]): spans for r, spans in self._older_spans.items()}
        self._group_numbers = {"": 0}
        self._group.values[:] = [
            self._group_numbers.setdefault(group, len(self._group_numbers))
            for group in self._groups
        ]
        self._dead = 0


def _step(rows: npt.NDArray[Any], pointers: Rows) -> npt.NDArray[Any]:
    """The neighbours of rows; -1 stays -1."""
    return np.where(rows >= 0, pointers[rows], -1)

"""One container's searchable items in memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, KeysView, Sequence
from enum import IntFlag
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.core.times import FOREVER
from service.search.columns import Column, Counts, Floats, Mask, Rows
from service.search.entry import decode_entries, decode_vectors
from service.search.groups import Groups
from service.search.masks import Masks
from service.search.postings import LEAST_TAIL, Postings
from service.search.speakers import Name, Speakers
from service.search.vectors import UnitVectors
from service.search.visibility import Spans, VisibilityIndex

ALWAYS: Spans = ((-FOREVER, FOREVER),)
"""The `shown` of an item that is found whenever it is there."""

LEAST_DEAD = 1024
"""Dead rows that a segment may have before they are compacted away, however few others it has."""

_BYTES_EMPTY = 6_000  # the objects of a segment that has nothing, about
_BYTES_PER_ITEM = 250  # the id, and its place in a dictionary and lists, about


class ItemKind(IntFlag):
    """What an item is; flags, since a search may look for both."""

    MEMORY = 1
    CHUNK = 2


class Item(NamedTuple):
    """One searchable item, as it comes from its row."""

    id: str
    """Of the memory version or the chunk; unique in the container."""

    kind: ItemKind
    entry: bytes
    """From `encode_entries`."""

    digest: bytes
    """Of the text, 8 bytes or more: items with one digest are found once."""

    vector: bytes | None = None
    """From `encode_vectors`; None: not embedded, found by its words alone."""

    group: str = ""
    """The document of a chunk; "" for a memory, which has no neighbours."""

    position: int = 0
    """Ascending within the group."""

    shown: Spans = ALWAYS
    """When it may be found as of the past. Members of a group: `ALWAYS`."""

    until: int = FOREVER
    """Before which instant of the wall clock it may be found as of now."""


class Segment:
    """The items of one (tenant, container), kept ready for ranking.

    Every change costs what it changes, taken over many: rows are appended, what is
    replaced or removed is marked dead, and dead rows are compacted away when they are
    a quarter. Not safe for two threads at once: the caller holds a lock while changing
    and while ranking.

    Properties that end in (rows,) are views over all rows, dead ones too, valid until
    the next change.
    """

    def __init__(
        self,
        dimension: int,
        neighbourhood: Sequence[float] = (),
        *,
        least_dead: int = LEAST_DEAD,
        least_tail: int = LEAST_TAIL,
    ) -> None:
        """Create an empty segment.

        Args:
            dimension: of the vectors; 0 if there are none.
            neighbourhood: how much of the vector of the neighbour at distance 1, 2, …
                in its group goes into an item's own when it is compared with a query.
            least_dead: dead rows up to which none is compacted away.
            least_tail: see `Postings`.
        """
        self.dimension = dimension
        self.neighbourhood = tuple(neighbourhood)
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._dead = 0
        self._least_dead = least_dead
        self._postings = Postings(least_tail)
        self._masks = Masks()
        self._visibility = VisibilityIndex()
        self._groups = Groups(self.neighbourhood)
        self._speakers = Speakers()
        self._alive = Column(np.bool_)
        self._kind = Column(np.uint8)
        self._digest = Column(np.uint64)
        self._length = Column(np.float32)
        self._words = Column(np.float32)
        self._asks = Column(np.bool_)
        self._tells_time = Column(np.bool_)
        self._vectors = UnitVectors(dimension)
        self._embedded = Column(np.bool_)
        self._outdated = Column(np.bool_)
        self._may_be_outdated = False

    # What is there

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._row_of)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._row_of

    @property
    def nbytes(self) -> int:
        """Memory in bytes; Python's own objects by an estimate."""
        parts = (
            *(self._postings.nbytes, self._masks.nbytes, self._visibility.nbytes),
            *(self._groups.nbytes, self._speakers.nbytes),
        )
        columns = sum(column.nbytes for column in self._columns())
        return _BYTES_EMPTY + sum(parts) + columns + _BYTES_PER_ITEM * len(self._ids)

    @property
    def growth(self) -> int:
        """Bytes that adding items can take temporarily in addition to `nbytes`: the vectors,
        the largest part, are copied into a larger array."""
        return self._vectors.nbytes

    def groups(self) -> KeysView[str]:
        """The documents that have chunks here."""
        return self._groups.keys()

    def ids_of_group(self, group: str) -> list[str]:
        """The ids of a document's chunks in order; empty if it has none."""
        return [self._ids[row] for row in self._groups.members(group)]

    # Changes

    def put(self, items: Sequence[Item]) -> None:
        """Add items; an item whose id is present replaces the one that has it.

        Raises:
            UnreadableEntryError, ValueError: an entry or vector that cannot be decoded, two
                items of one id, or a member of a group that is not always shown. Nothing is
                changed.
        """
        if len({item.id for item in items}) != len(items):
            raise ValueError("two items of one id")
        if any(item.group and item.shown != ALWAYS for item in items):
            raise ValueError("a member of a group is always shown")
        entries = decode_entries([item.entry for item in items])
        embedded = np.array([item.vector is not None for item in items], np.bool_)
        vectors = np.zeros((len(items), self.dimension), np.float32)
        vectors[embedded] = decode_vectors(
            [item.vector for item in items if item.vector is not None], self.dimension
        )
        digests = np.frombuffer(b"".join(item.digest[:8] for item in items), dtype="<u8")

        touched = self._tombstone(self._row_of[i.id] for i in items if i.id in self._row_of)
        touched.update(item.group for item in items if item.group)
        first = self.rows
        for row, item in enumerate(items, first):
            self._ids.append(item.id)
            self._row_of[item.id] = row
        new = np.arange(first, self.rows, dtype=np.int32)
        self._postings.add(entries.terms, np.repeat(new, entries.sizes), entries.counts)
        self._masks.grow(len(items))
        self._visibility.extend([item.shown for item in items], [item.until for item in items])
        self._groups.extend(
            [item.group for item in items], [item.position for item in items], vectors
        )
        self._speakers.extend(entries.speakers)
        self._alive.extend(np.ones(len(items), np.bool_))
        self._kind.extend([int(item.kind) for item in items])
        self._digest.extend(digests)
        self._length.extend(entries.lengths)
        self._words.extend(entries.words)
        self._asks.extend(entries.asks)
        self._tells_time.extend(entries.tells_time)
        self._vectors.extend(vectors)
        self._embedded.extend(embedded)
        self._outdated.extend(entries.outdated)
        self._may_be_outdated |= bool(entries.outdated.any())
        self._groups.link(touched, self.vectors, self.words)
        self._compact()

    def remove(self, ids: Iterable[str]) -> None:
        """Remove items; unknown ids are ignored."""
        left = self._tombstone(self._row_of[i] for i in ids if i in self._row_of)
        self._groups.link(left, self.vectors, self.words)
        self._compact()

    # Masks of callers' filters, by owner: the group of a chunk, the id of a memory

    def masks(self) -> list[Hashable]:
        """The keys of the masks that are kept."""
        return self._masks.keys()

    def mask(self, key: Hashable) -> Mask | None:
        """(rows,) the mask kept under a key, or None."""
        return self._masks.get(key)

    def keep_mask(self, key: Hashable, owners: Iterable[str]) -> Mask:
        """Keep, and return, the mask of the items of these owners (document and memory ids)."""
        mask = self.rows_of(owners)
        self._masks.put(key, mask)
        return mask

    def patch_mask(self, key: Hashable, owner: str, matches: bool) -> None:
        """Set whether one owner matches; needed for every owner whose items are replaced.

        Raises:
            KeyError: no mask is kept under this key.
        """
        self._masks.set_rows(key, self._rows_of_owner(owner), matches)

    def present(self, kinds: ItemKind, mask: Mask) -> Mask:
        """(rows,) what is alive and of a kind within `mask`, whenever it is shown."""
        present: Mask = mask & self._alive.values & ((self._kind.values & kinds) != 0)
        return present

    # What ranking reads

    @property
    def rows(self) -> int:
        """How many rows there are, dead ones too."""
        return len(self._ids)

    def eligible(self, kinds: ItemKind, at: int, mask: Mask | None = None) -> Mask:
        """(rows,) what might be found: alive, of a kind, within `mask`, and shown at an
        instant of the past."""
        return self._eligible(self._visibility.at(at), kinds, mask)

    def eligible_now(self, kinds: ItemKind, wall: int, mask: Mask | None = None) -> Mask:
        """The same for what is shown as of now, by the wall clock."""
        return self._eligible(self._visibility.now(wall), kinds, mask)

    def _eligible(self, eligible: Mask, kinds: ItemKind, mask: Mask | None) -> Mask:
        eligible &= self._alive.values
        if kinds != ItemKind.MEMORY | ItemKind.CHUNK:
            eligible &= self._kind.values == kinds
        if mask is not None:
            eligible &= mask
        return eligible

    def rows_of(self, owners: Iterable[str]) -> Mask:
        """(rows,) the items of these documents and memories."""
        mask = np.zeros(self.rows, np.bool_)
        for owner in owners:
            mask[list(self._rows_of_owner(owner))] = True
        return mask

    def rows_with(self, ids: Iterable[str]) -> Mask:
        """(rows,) the items of these ids; unknown ones are ignored."""
        mask = np.zeros(self.rows, np.bool_)
        mask[[self._row_of[item_id] for item_id in ids if item_id in self._row_of]] = True
        return mask

    def find(self, term: int) -> tuple[Rows, Counts]:
        """The rows that hold a term (dead ones too), each once, and how often each does."""
        return self._postings.find(term)

    def named(self, words: Iterable[int], eligible: Mask) -> set[Name]:
        """The speakers of eligible rows whose name has one of the (hashed) words."""
        return self._speakers.named(words, eligible)

    def said_by(self, name: Name) -> Mask:
        """(rows,) what one speaker says."""
        return self._speakers.said_by(name)

    def id_at(self, row: int) -> str:
        return self._ids[row]

    def kind_at(self, row: int) -> ItemKind:
        return ItemKind(int(self._kind.values[row]))

    def group_at(self, row: int) -> str:
        return self._groups.name_at(row)

    def position_at(self, row: int) -> int:
        return self._groups.position_at(row)

    @property
    def digest(self) -> npt.NDArray[np.uint64]:
        """(rows,) of each row's text."""
        return self._digest.values

    def digests(self, mask: Mask) -> npt.NDArray[np.uint64]:
        """The digests of the rows in `mask`; not copied if that is all rows."""
        return self._digest.values if mask.all() else self._digest.values[mask]

    def digest_at(self, row: int) -> int:
        return int(self._digest.values[row])

    @property
    def has_groups(self) -> bool:
        return bool(self._groups)

    @property
    def group(self) -> Rows:
        """(rows,) a number for each row's group; 0 for those without."""
        return self._groups.number.values

    @property
    def before(self) -> Rows:
        """(rows,) the row of the neighbour before in the group, or -1."""
        return self._groups.before.values

    @property
    def after(self) -> Rows:
        """(rows,) the row of the neighbour after in the group, or -1."""
        return self._groups.after.values

    @property
    def place(self) -> Floats:
        """(rows,) how many words stand before the row's middle in its group."""
        return self._groups.place.values

    @property
    def spread(self) -> Floats:
        """(rows,) the length of each vector after its neighbours' were added to it; not 0."""
        return self._groups.spread.values

    @property
    def vectors(self) -> UnitVectors:
        """(rows, dimension) of unit length, or zeros where there is none."""
        return self._vectors

    @property
    def embedded(self) -> Mask:
        """(rows,) which have a vector."""
        return self._embedded.values

    @property
    def outdated(self) -> Mask | None:
        """(rows,) which have an entry of an older analysis; None: none has."""
        if not self._may_be_outdated:
            return None
        outdated: Mask = self._outdated.values & self._alive.values
        self._may_be_outdated = bool(outdated.any())
        return outdated if self._may_be_outdated else None

    @property
    def length(self) -> Floats:
        """(rows,) occurrences of terms."""
        return self._length.values

    @property
    def words(self) -> Floats:
        """(rows,) words, stop words too."""
        return self._words.values

    @property
    def asks(self) -> Mask:
        """(rows,) which are questions."""
        return self._asks.values

    @property
    def tells_time(self) -> Mask:
        """(rows,) which have a time expression."""
        return self._tells_time.values

    # Upkeep

    def _columns(self) -> tuple[Column[np.generic], ...]:
        return tuple(value for value in vars(self).values() if isinstance(value, Column))

    def _rows_of_owner(self, owner: str) -> Sequence[int]:
        row = self._row_of.get(owner)
        return self._groups.members(owner) if row is None else (row,)

    def _tombstone(self, rows: Iterable[int]) -> set[str]:
        """Mark rows dead; returns the groups they leave, which are to be linked."""
        dead = set(rows)
        for row in dead:
            del self._row_of[self._ids[row]]
        self._visibility.forget(dead)
        self._alive.values[list(dead)] = False
        self._dead += len(dead)
        return self._groups.leave(dead)

    def _compact(self) -> None:
        """Drop dead rows when they are many; rows get new numbers."""
        if self._dead <= max(self._least_dead, self.rows // 4):
            return
        kept: npt.NDArray[np.int64] = np.flatnonzero(self._alive.values)
        numbers = np.full(self.rows + 1, -1, np.int32)  # one more, so that -1 stays -1
        numbers[kept] = np.arange(len(kept), dtype=np.int32)
        self._postings.renumber(numbers)
        self._visibility.renumber(kept, numbers)
        self._groups.renumber(kept, numbers)
        self._masks.take(kept)
        self._speakers.take(kept)
        for column in self._columns():
            column.take(kept)
        self._ids = [self._ids[row] for row in kept.tolist()]
        self._row_of = {item_id: row for row, item_id in enumerate(self._ids)}
        self._dead = 0

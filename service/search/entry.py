"""The compact bytes stored with a row: its terms and features, and its vector.

An entry, little-endian, padded to whole 32-bit words so that many can be decoded at
once by indexing one array:

    u8  version              u8 flags (1: a question, 2: tells a time)
    u8  names                u8 0
    u16 words                u16 length (occurrences of terms)
    u32 terms
    u32[names]               hashes of the words of the speaker's name
    u32[terms]               hashes of the terms, ascending
    u8[terms]                how often each occurs, at most 255; zeros up to a whole word

Words are there as keyed hashes only, so that what a deleted row leaves behind in a
database page cannot be guessed back into its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, pairwise
from struct import Struct

import numpy as np
import numpy.typing as npt

from service.search.analysis import Features
from service.search.words import term_of

VERSION = 2
"""Of the analysis whose terms an entry has, written as its first byte.

Raised with every change of what the analysis makes of a text: entries of an older one are
made again in the background, and serve until then. The bytes are laid out alike in all.
"""

_HEADER = Struct("<BBBxHHI")
_HEADER_WORDS = _HEADER.size // 4
_ASKS, _TELLS_TIME = 1, 2
_MOST_NAMES = 8

NO_TERM = -1
REMEMBERED = 65_536
"""Words whose hashes are kept, of up to `LONGEST` characters: some 10 MB."""

LONGEST = 64

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint32]
Vectors = npt.NDArray[np.float32]


class UnreadableEntryError(ValueError):
    """The bytes are not an entry of a version this code knows; the row must be indexed again."""


class TermHasher:
    """Hashes terms and names under one secret (BLAKE2b keyed mode), 32 bits each.

    Two of a container's 100,000 distinct terms share a hash about once: the one then
    counts as the other, which moves a score a little and breaks nothing.
    """

    def __init__(self, secret: bytes, remembered: int = REMEMBERED) -> None:
        """Hash with `secret` (16 bytes or more), and keep the hashes of so many words."""
        self._key = secret[:64]
        self.terms: Mapping[str, int] = _Terms(self, remembered)
        """Of each folded word there may be: the hash of its term, or NO_TERM."""
        self.name = lru_cache(maxsize=4096)(self._name)
        """The hash of a word of a speaker's name."""

    def term(self, term: str) -> int:
        """The hash of a term."""
        return self._hash(term, b"term")

    def _name(self, word: str) -> int:
        return self._hash(word, b"name")

    def _hash(self, word: str, person: bytes) -> int:
        digest = blake2b(word.encode(), digest_size=4, key=self._key, person=person).digest()
        return int.from_bytes(digest, "little")


class _Terms(dict[str, int]):
    """Finds the terms of words, and remembers them: a dict, since C looks through it."""

    def __init__(self, hasher: TermHasher, remembered: int) -> None:
        super().__init__()
        self._hasher = hasher
        self._remembered = remembered

    def __missing__(self, word: str) -> int:
        term = term_of(word)
        hashed = self._hasher.term(term) if term else NO_TERM
        if len(word) <= LONGEST:
            if len(self) >= self._remembered:
                self.clear()
            self[word] = hashed
        return hashed


@dataclass(frozen=True, slots=True)
class Entries:
    """Many decoded entries, item after item."""

    terms: Hashes
    """(postings,) the terms of all items, ascending within each."""

    counts: npt.NDArray[np.uint8]
    """(postings,) how often each occurs."""

    sizes: Ints
    """(items,) how many of `terms` belong to each item."""

    lengths: Ints
    """(items,) occurrences of terms."""

    words: Ints
    """(items,) words, stop words too."""

    outdated: npt.NDArray[np.bool_]
    """(items,) which are of an older version."""

    asks: npt.NDArray[np.bool_]
    tells_time: npt.NDArray[np.bool_]
    speakers: list[tuple[int, ...]]
    """The hashed words of each item's speaker's name, in order."""


def encode_entries(items: Sequence[Features], hasher: TermHasher) -> list[bytes]:
    """The entry of each item's features: all of them in one sort, since most are short."""
    words = list(chain.from_iterable(chain(item.counted, item.further) for item in items))
    hashes = np.fromiter(map(hasher.terms.__getitem__, words), np.int64, len(words))
    counted, further = (
        np.array([len(part) for part in parts], np.int64)
        for parts in ([item.counted for item in items], [item.further for item in items])
    )
    owners = np.repeat(np.arange(len(items)), counted + further)
    known = hashes != NO_TERM
    # Of each item, what is counted comes first, and makes up its length.
    place = np.arange(len(words)) - np.repeat(
        np.cumsum(counted + further) - counted - further, counted + further
    )
    lengths = np.bincount(
        owners[known & (place < np.repeat(counted, counted + further))], minlength=len(items)
    ).tolist()
    occurrences = (owners << 32 | hashes)[known]
    occurrences.sort()
    first = np.flatnonzero(np.diff(occurrences, prepend=-1))
    distinct = occurrences[first]
    often = np.diff(first, append=len(occurrences))
    terms = distinct.astype("<u4").tobytes()
    counts = np.minimum(often, 255).astype(np.uint8).tobytes()
    ends = np.searchsorted(distinct, np.arange(len(items) + 1) << 32).tolist()
    return [
        _entry(item, hasher, length, terms[4 * start : 4 * end], counts[start:end])
        for item, length, (start, end) in zip(items, lengths, pairwise(ends), strict=True)
    ]


def _entry(item: Features, hasher: TermHasher, length: int, terms: bytes, counts: bytes) -> bytes:
    names = hashed_name(item.speaker, hasher)
    header = _HEADER.pack(
        VERSION,
        item.asks * _ASKS | item.tells_time * _TELLS_TIME,
        len(names),
        min(item.words, 0xFFFF),
        min(length, 0xFFFF),
        len(counts),
    )
    named = np.array(names, "<u4").tobytes() if names else b""
    return b"".join((header, named, terms, counts, bytes(-len(counts) % 4)))


def hashed_name(words: Sequence[str], hasher: TermHasher) -> tuple[int, ...]:
    """The words of a speaker's name as entries have them."""
    return tuple(hasher.name(word) for word in words[:_MOST_NAMES])


def decode_entries(blobs: Sequence[bytes]) -> Entries:
    """Decode many entries at once.

    Raises:
        UnreadableEntryError: one of them is of no version up to `VERSION`, or cut short.
    """
    sizes_in_bytes = np.fromiter(map(len, blobs), dtype=np.int64, count=len(blobs))
    if np.any((sizes_in_bytes % 4 != 0) | (sizes_in_bytes < _HEADER.size)):
        raise UnreadableEntryError
    buffer = b"".join(blobs)
    raw = np.frombuffer(buffer, dtype=np.uint8)
    cells = np.frombuffer(buffer, dtype="<u4")
    lengths_in_cells = sizes_in_bytes // 4
    starts = np.cumsum(lengths_in_cells) - lengths_in_cells

    kinds, sizes_of_text, sizes = (cells[starts + i].astype(np.int64) for i in range(3))
    names = kinds >> 16 & 0xFF
    expected = _HEADER_WORDS + names + sizes + (sizes + 3) // 4
    versions = kinds & 0xFF
    if np.any((versions < 1) | (versions > VERSION) | (expected != lengths_in_cells)):
        raise UnreadableEntryError

    first = starts + _HEADER_WORDS
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    flags = kinds >> 8 & 0xFF
    return Entries(
        terms=cells[np.repeat(first + names, sizes) + within].astype(np.uint32, copy=False),
        counts=raw[np.repeat(4 * (first + names + sizes), sizes) + within],
        sizes=sizes,
        lengths=sizes_of_text >> 16,
        words=sizes_of_text & 0xFFFF,
        outdated=versions < VERSION,
        asks=(flags & _ASKS) != 0,
        tells_time=(flags & _TELLS_TIME) != 0,
        speakers=_speakers(cells, first, names),
    )


def encode_vectors(vectors: Vectors) -> list[bytes]:
    """The blobs of the rows of a matrix: brought to unit length, float16, little-endian.

    Half precision keeps cosines to about 0.0005 and halves the database. A row of
    zeros stays one: it is near nothing.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(lengths > 0, lengths, 1)).astype("<f2")
    return [row.tobytes() for row in unit]


def decode_vectors(blobs: Sequence[bytes], dimension: int) -> Vectors:
    """(items, dimension) in float32, each row of unit length or zero.

    Raises:
        ValueError: a blob is of another dimension.
    """
    if any(len(blob) != 2 * dimension for blob in blobs):
        raise ValueError(f"a vector is not of dimension {dimension}")
    halves = np.frombuffer(b"".join(blobs), dtype="<f2").reshape(len(blobs), dimension)
    vectors = halves.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    vectors /= np.where(lengths > 0, lengths, 1)[:, None]
    return vectors


def _speakers(cells: npt.NDArray[np.uint32], first: Ints, names: Ints) -> list[tuple[int, ...]]:
    if not names.any():
        return [()] * len(names)
    speakers: list[tuple[int, ...]] = [()] * len(names)
    for i in np.flatnonzero(names).tolist():
        speakers[i] = tuple(cells[first[i] : first[i] + names[i]].tolist())
    return speakers

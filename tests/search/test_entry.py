"""What is stored beside a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search.analysis import Features
from service.search.entry import (
    TermHasher,
    UnreadableEntryError,
    decode_entries,
    decode_vectors,
    encode_entry,
    encode_vectors,
)

HASHER = TermHasher(b"one secret")

features = st.builds(
    Features,
    terms=st.dictionaries(st.text(min_size=1), st.integers(1, 300), max_size=9),
    words=st.integers(0, 100_000),
    asks=st.booleans(),
    tells_time=st.booleans(),
    speaker=st.lists(st.text(min_size=1), max_size=3).map(tuple),
)


@given(st.lists(features, max_size=6))
def test_entries_decode_to_what_they_were_made_of(items: list[Features]) -> None:
    decoded = decode_entries([encode_entry(item, HASHER) for item in items])
    ends = np.cumsum(decoded.sizes)
    for i, item in enumerate(items):
        own = slice(int(ends[i] - decoded.sizes[i]), int(ends[i]))
        expected = sorted((HASHER.term(t), min(n, 255)) for t, n in item.terms.items())
        found = zip(decoded.terms[own].tolist(), decoded.counts[own].tolist(), strict=True)
        assert list(found) == expected
        assert decoded.lengths[i] == sum(item.terms.values())
        assert decoded.words[i] == min(item.words, 65_535)
        assert (decoded.asks[i], decoded.tells_time[i]) == (item.asks, item.tells_time)
        assert decoded.speakers[i] == tuple(HASHER.name(word) for word in item.speaker)


def test_an_entry_is_small() -> None:
    item = Features({f"term{i}": 1 for i in range(10)}, 20, False, False, ("ann",))
    assert len(encode_entry(item, HASHER)) == 12 + 4 + 40 + 12


@pytest.mark.parametrize("damage", [lambda e: e[:-4], lambda e: e[:-1], lambda e: b"\x02" + e[1:]])
def test_damaged_and_foreign_entries_are_refused(damage: object) -> None:
    entry = encode_entry(Features({"a": 1, "b": 2}, 3, False, False, ()), HASHER)
    with pytest.raises(UnreadableEntryError):
        decode_entries([entry, damage(entry)])  # type: ignore[operator]


def test_words_cannot_be_told_from_an_entry_without_the_secret() -> None:
    item = Features({"cancer": 1}, 1, False, False, ("ann",))
    entry = encode_entry(item, HASHER)
    assert b"cancer" not in entry
    assert encode_entry(item, TermHasher(b"another secret")) != entry
    assert encode_entry(item, TermHasher(b"one secret")) == entry
    assert HASHER.term("ann") != HASHER.name("ann")


def test_vectors_keep_their_direction() -> None:
    made = np.random.default_rng(1).normal(size=(20, 64)).astype(np.float32)
    blobs = encode_vectors(made)
    assert {len(blob) for blob in blobs} == {128}
    decoded = decode_vectors(blobs, 64)
    unit = made / np.linalg.norm(made, axis=1, keepdims=True)
    assert np.allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-6)
    assert np.min(np.sum(decoded * unit, axis=1)) > 0.99999


def test_a_vector_of_zeros_stays_one_and_no_vectors_are_none() -> None:
    (blob,) = encode_vectors(np.zeros((1, 4), np.float32))
    assert not decode_vectors([blob], 4).any()
    assert decode_vectors([], 4).shape == (0, 4)


def test_a_vector_of_another_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="dimension 8"):
        decode_vectors(encode_vectors(np.ones((1, 4), np.float32)), 8)

"""What is stored with a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search import entry
from service.search.analysis import Features
from service.search.entry import (
    VERSION,
    TermHasher,
    UnreadableEntryError,
    decode_entries,
    decode_vectors,
    encode_entries,
    encode_vectors,
)
from tests.search.reference import terms_of

HASHER = TermHasher(b"one secret")

words = st.one_of(st.sampled_from(["dog", "dogs", "the", "x" * 100]), st.text(min_size=1))
features = st.builds(
    Features,
    counted=st.lists(st.tuples(words, st.integers(1, 300)), max_size=9).map(
        lambda often: [word for word, times in often for _ in range(times)]
    ),
    words=st.integers(0, 100_000),
    asks=st.booleans(),
    tells_time=st.booleans(),
    speaker=st.lists(st.text(min_size=1), max_size=3).map(tuple),
)


@given(st.lists(features, max_size=6))
def test_entries_decode_to_what_they_were_made_of(items: list[Features]) -> None:
    decoded = decode_entries(encode_entries(items, HASHER))
    ends = np.cumsum(decoded.sizes)
    for i, item in enumerate(items):
        own = slice(int(ends[i] - decoded.sizes[i]), int(ends[i]))
        terms = terms_of(item)
        expected = sorted((HASHER.term(t), min(n, 255)) for t, n in terms.items())
        found = zip(decoded.terms[own].tolist(), decoded.counts[own].tolist(), strict=True)
        assert list(found) == expected
        assert decoded.lengths[i] == min(sum(terms.values()), 65_535)
        assert decoded.words[i] == min(item.words, 65_535)
        assert (decoded.asks[i], decoded.tells_time[i]) == (item.asks, item.tells_time)
        assert decoded.speakers[i] == tuple(HASHER.name(word) for word in item.speaker)


def test_an_entry_is_small() -> None:
    item = Features([f"term{i}" for i in range(10)], 20, False, False, ("ann",))
    (entry,) = encode_entries([item], HASHER)
    assert len(entry) == 12 + 4 + 40 + 12


@pytest.mark.parametrize(
    "damage",
    [
        lambda e: e[:-4],
        lambda e: e[:-1],
        lambda e: b"\x00" + e[1:],
        lambda e: bytes([VERSION + 1]) + e[1:],
    ],
)
def test_damaged_and_foreign_entries_are_refused(damage: object) -> None:
    (entry,) = encode_entries([Features(["cat", "dog", "dog"], 3, False, False, ())], HASHER)
    with pytest.raises(UnreadableEntryError):
        decode_entries([entry, damage(entry)])  # type: ignore[operator]


def test_entries_of_every_version_so_far_are_read_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entry, "VERSION", 3)
    (newest,) = encode_entries([Features(["cat", "dog"], 2, False, False, ())], HASHER)
    assert newest[0] == 3
    decoded = decode_entries([bytes([version]) + newest[1:] for version in (1, 2, 3)])
    assert decoded.sizes.tolist() == [2, 2, 2]
    assert len(set(decoded.terms.tolist())) == 2


def test_words_cannot_be_told_from_an_entry_without_the_secret() -> None:
    item = Features(["cancer"], 1, False, False, ("ann",))
    (entry,) = encode_entries([item], HASHER)
    assert b"cancer" not in entry
    assert encode_entries([item], TermHasher(b"another secret")) != [entry]
    assert encode_entries([item], TermHasher(b"one secret")) == [entry]
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


def test_no_more_words_are_remembered_than_said_and_no_long_ones() -> None:
    hasher = TermHasher(b"one secret", remembered=3)
    words = [*(f"word{n}" for n in range(10)), "secret" * 20]
    assert [hasher.terms[word] for word in words] == [HASHER.terms[word] for word in words]
    assert 0 < len(hasher.terms) <= 3
    assert "secret" * 20 not in hasher.terms

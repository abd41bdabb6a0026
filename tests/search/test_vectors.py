"""A segment's vectors: as near to what they were as a score can tell."""

from __future__ import annotations

import numpy as np
import pytest

from service.search.vectors import UnitVectors

CLOSE = 5e-5


@pytest.mark.parametrize("dimension", [2, 256, 1536])
@pytest.mark.parametrize("count", [0, 1, 512, 1300])
def test_products_are_those_of_the_vectors_themselves(dimension: int, count: int) -> None:
    made = np.random.default_rng(dimension).normal(size=(count + 1, dimension)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    vector, rows = made[0], made[1:]
    kept = UnitVectors(dimension)
    kept.extend(rows[: count // 2])
    kept.extend(rows[count // 2 :])
    assert np.allclose(kept.times(vector), rows @ vector, rtol=0, atol=CLOSE)
    some = np.arange(0, count, 3)
    assert np.allclose(kept.some_times(vector, some), kept.times(vector)[some], rtol=0, atol=1e-6)
    assert np.allclose(kept.at(some), rows[some], rtol=0, atol=CLOSE)


def test_ones_and_zeros_stay_what_they_are() -> None:
    kept = UnitVectors(3)
    kept.extend([[1, 0, 0], [0, -1, 0], [0, 0, 0]])
    assert kept.at(np.arange(3)).tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, 0]]


def test_a_vector_takes_two_bytes_a_number() -> None:
    kept = UnitVectors(256)
    kept.extend(np.zeros((10, 256)))
    assert kept.nbytes == 10 * 2 * 256

"""Unknown embedders are calibrated by trying them."""

from __future__ import annotations

import numpy as np
import pytest

from service.search.probes import QUESTIONS, STATEMENTS, calibrate

COUNT = len(QUESTIONS)


def embedded(common: float, noise: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors that share a direction, as those of some models all do."""
    made = np.random.default_rng(noise).normal(size=(2 * COUNT, 256))
    made[:, 0] += common
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made[:COUNT].astype(np.float32), made[COUNT:].astype(np.float32)


def test_each_question_has_its_statement() -> None:
    assert len(STATEMENTS) == COUNT == len({*QUESTIONS, *STATEMENTS}) / 2


def test_chance_lies_above_what_unrelated_texts_reach() -> None:
    for common, mean in ((0.0, 0.0), (16.0, 0.5), (28.0, 0.75)):
        questions, statements = embedded(common, 1)
        found = calibrate(questions, statements)
        highest = (questions @ statements.T)[~np.eye(COUNT, dtype=bool)].max()
        assert highest < found.noise_floor < found.certain
        assert found.certain - found.noise_floor == pytest.approx(0.2 * (1 - mean), abs=0.02)


def test_an_embedder_that_tells_nothing_apart_is_never_sure() -> None:
    same = np.full((COUNT, 4), 0.5, np.float32)
    found = calibrate(same, same)
    assert found.noise_floor == pytest.approx(0.99)
    assert found.certain > found.noise_floor

"""Single inputs that search once failed."""

from __future__ import annotations

import pytest

from tests.trust.cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_is_right(case: Case) -> None:
    failures = case.failures()
    assert failures[case.may_fail :] == [], failures

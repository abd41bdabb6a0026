"""In each language, what is related scores high and what is not scores low."""

from __future__ import annotations

import pytest

from tests.trust.kinds import Kind
from tests.trust.languages import LANGUAGES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda kind: kind.name)
def test_scores_tell_what_is_related(language: Kind) -> None:
    assert language.measure().misses(language.goals) == []

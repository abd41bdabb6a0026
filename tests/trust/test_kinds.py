"""Each kind of things is found as often as promised, and nothing else in its place."""

from __future__ import annotations

import pytest

from tests.trust.kinds import Kind
from tests.trust.languages import LANGUAGES
from tests.trust.table import KINDS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in LANGUAGES], ids=lambda kind: kind.name
)
def test_each_kind_is_found(kind: Kind) -> None:
    assert kind.measure().misses(kind.goals) == []

"""Faults put into the service on purpose, as parameters of the test that must notice them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest


def parameters(
    faults: Mapping[str, Callable[[pytest.MonkeyPatch], None]], rarely_noticed: Collection[str]
) -> list[Any]:
    """One for each fault; those rarely noticed are for `make soak`."""
    return [
        pytest.param(seed, id=name, marks=pytest.mark.soak if name in rarely_noticed else ())
        for name, seed in faults.items()
    ]

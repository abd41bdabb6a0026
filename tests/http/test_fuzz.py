"""A few random requests for each call, made from the OpenAPI document; more in `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Server
from tests.http.fuzz import fuzz, without_filters

pytestmark = pytest.mark.processes


def test_answers_are_as_the_document_says(
    shared_server: Server, shared_key: str, tmp_path: Path
) -> None:
    outcome = fuzz(
        shared_server,
        shared_key,
        without_filters(),
        tmp_path,
        "--phases=examples,fuzzing",
        "--max-examples=3",
        "--seed=1",
    )
    assert outcome.passed, outcome.output
    assert outcome.requests >= 24, outcome.output

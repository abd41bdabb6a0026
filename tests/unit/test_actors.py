"""Which texts may name an actor."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.core.actors import ACTOR, MAX_ACTOR, actor_of, check_actor
from service.core.errors import PalimpsestError, Reason


@pytest.mark.parametrize(
    "actor", ["a", "chat:ann", " with spaces ", "Zo%C3%AB", "!~", "x" * MAX_ACTOR]
)
def test_printable_ascii_is_kept_as_it_comes(actor: str) -> None:
    assert actor_of([actor]) == actor
    assert actor_of([actor, actor]) == actor


def test_a_call_need_not_name_one() -> None:
    assert actor_of([]) == ""


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["x" * (MAX_ACTOR + 1)],
        ["x" * 200_000],
        ["Zoë"],
        ["a\tb"],
        ["a\nb"],
        ["\0"],
        ["\x7f"],
        ["\udcff"],
        [b"bytes"],
        ["one", "other"],
        ["one", b"one"],
        ["one", ""],
    ],
)
def test_anything_else_is_refused_with_its_name_and_not_its_text(
    values: Sequence[str | bytes],
) -> None:
    with pytest.raises(PalimpsestError) as refused:
        actor_of(values)
    error = refused.value
    assert error.reason is Reason.INVALID_REQUEST
    assert [violation.field for violation in error.violations] == [ACTOR]
    assert len(error.message) < 100
    assert not any(isinstance(v, str) and len(v) > 2 and v in error.message for v in values[:1])


def test_an_error_calls_it_as_it_was_given() -> None:
    with pytest.raises(PalimpsestError, match=r"^--actor: must be 1 to 200"):
        check_actor("", "--actor")

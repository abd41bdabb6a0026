"""What texts are found by beside their words: the quick look at ASCII sees what the other sees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.search.forms import further_forms

_SIGNS = ".-/:@#,_' \n\tabtsXYZT0123"
_PLAIN = " я"
"""A word of no further form, which makes a text one that is not ASCII."""


@given(st.text(_SIGNS, max_size=40))
def test_ascii_has_the_forms_that_it_has_in_any_text(text: str) -> None:
    assert further_forms(text) == further_forms(text + _PLAIN)


def test_parts_that_are_written_together_are_found() -> None:
    forms = set(further_forms("ERR4032 in 2.1 of A-17/b"))
    assert {"2.1", "a-17/b", "17/b", "err", "4032"} <= forms

"""What commands print of other people's text does nothing to a terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from service.client.printable import one_line, printable


@given(st.text(st.characters(codec=None) | st.sampled_from("\x1b\x9b\x07\r\n\x7f\ud800\u202e")))
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    for shown in (printable(text), one_line(text)):
        assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in shown)
        assert "\u202e" not in shown
        shown.encode()
    assert len(printable(text)) == len(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M"])))
def test_what_is_no_control_stays(text: str) -> None:
    assert printable(text) == text


def test_one_line_keeps_the_words_apart() -> None:
    assert one_line(" a\r\n\tb \x1b[31mred\x1b[0m\n") == "a b \ufffd[31mred\ufffd[0m"

"""Phrases in texts, word for word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.search.analysis import analyse
from service.search.entry import TermHasher
from service.search.phrases import Phrases
from service.search.words import split_words

HASHER = TermHasher(b"0123456789abcdef")

HELD = [
    ("Paid invoice 48213 in March", "invoice 48213"),
    ("Paid invoice 48213 in March", "PAID Invoice"),
    ("To be, or not to be", "or not to be"),
    ("Zoë's café — open daily", "zoe cafe open"),
    ("a state-of-the-art pump", "state of the art"),
    ("東京都庁に行く", "京都"),
    ("猫がいる", "猫"),
    ("2026年5月号", "5月"),
    ("ああああ", "あああ"),
]
NOT_HELD = [
    ("Paid invoice 48213 in March", "invoice 4821"),
    ("Paid invoice 48213 in March", "48213 invoice"),
    ("Paid invoice 48213 in March", "paid 48213"),
    ("runs every day", "run"),
    ("run", "run run"),
    ("cat", "cat mat"),
    ("東京、京都", "東京都"),
    ("東京 都", "東京都"),
    ("東京(都)", "東京都"),
    ("ああああ", "あああああ"),
    ("", "a"),
]


@pytest.mark.parametrize(("text", "phrase"), HELD)
def test_a_text_holds_a_phrase_whose_words_stand_in_it_in_order(text: str, phrase: str) -> None:
    assert Phrases([phrase]).admit(text)
    assert not Phrases([], [phrase]).admit(text)


@pytest.mark.parametrize(("text", "phrase"), NOT_HELD)
def test_a_text_does_not_hold_words_in_another_order_or_apart(text: str, phrase: str) -> None:
    assert not Phrases([phrase]).admit(text)
    assert Phrases([], [phrase]).admit(text)


def test_all_that_must_be_held_is_and_nothing_that_must_not() -> None:
    phrases = Phrases(["red", "two boats"], ["sold", "blue"])
    assert phrases.admit("Ann has two boats, one of them red")
    assert not phrases.admit("Ann has two boats")
    assert not phrases.admit("Ann has two boats, one red, and sold it")


def test_a_phrase_without_words_says_nothing() -> None:
    assert not Phrases(["!"], ["..."])
    assert Phrases([], ["..."]).admit("anything")


SPACES = "the a cat cats Cat CAT's run running Straße É 5 10 2.1 x-y o'clock हिंदी — “"
NO_SPACES = "東京 京都 東京都 都 の 猫 カタカナ 5月 서울 서울에서 ไทย 、"
WORDS = st.sampled_from([*SPACES.split(), *NO_SPACES.split(), "\n"])
LINES = st.lists(WORDS, max_size=8).flatmap(
    lambda words: st.sampled_from([" ".join(words), "".join(words), ", ".join(words)])
)


@given(text=LINES, phrase=LINES)
def test_what_holds_a_phrase_has_all_terms_that_the_index_is_asked_for(
    text: str, phrase: str
) -> None:
    phrases = Phrases([phrase])
    (required,) = phrases.required(HASHER)
    if phrases.admit(text):
        assert set(required) <= {HASHER.terms[word] for word in analyse(text).counted}


SPACED = st.lists(st.sampled_from(["the", "cat", "ran", "é", "5"]), max_size=8)


@given(text=SPACED, phrase=SPACED)
def test_words_between_spaces_are_compared_as_a_list(text: list[str], phrase: list[str]) -> None:
    words, wanted = (split_words(" ".join(one)) for one in (text, phrase))
    holds = any(words[i : i + len(wanted)] == wanted for i in range(len(words) + 1))
    assert Phrases([" ".join(phrase)]).admit(" ".join(text)) == holds


@given(phrase=LINES)
def test_every_text_holds_itself(phrase: str) -> None:
    assert Phrases([phrase]).admit(phrase)

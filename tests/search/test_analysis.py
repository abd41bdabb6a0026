"""What is kept of a text."""

from __future__ import annotations

import pytest

from service.core.times import parse_instant
from service.search.analysis import analyse, embedding_text
from service.search.parsed_query import parse_query
from service.search.words import split_words, term_of, without_words
from tests.search.reference import terms_of

MAY_8 = parse_instant("2023-05-08T13:56:00Z")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two words", ["two", "words"]),
        ("it's Ann's, don't", ["it", "ann", "do"]),
        ("it’s “typographic” — and so on…", ["it", "typographic", "and", "so", "on"]),
        ("O'Brien; l'eau, d’Angelo", ["o", "brien", "eau", "angelo"]),
        ("foo_bar-baz 3.5", ["foo", "bar", "baz", "3", "5"]),
        ("Straße CAFÉ naïve", ["strasse", "cafe", "naive"]),
        ("ＡＢＣ ﬁne", ["abc", "fine"]),
        ("Привет, мир", ["привет", "мир"]),
        ("हिन्दी भाषा", ["हिंदी", "भाषा"]),
        ("한국어 문장", ["한국", "국어", "문장"]),
        ("東京に", ["東京", "京に"]),
        ("猫", ["猫"]),
        ("ice cream 🍦", ["ice", "cream"]),
        ("…!?", []),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_terms_are_stems_and_stop_words_are_none() -> None:
    assert term_of("running") == term_of("runs") == "run"
    assert term_of("the") == ""
    assert term_of("größe") == "größe"


def test_an_item_has_its_speaker_heading_and_date_among_its_terms() -> None:
    features = analyse("I ran, and ran again.", "Sports", "Ann Lee", MAY_8)
    assert terms_of(features) == {
        "ran": 2,
        "again": 1,
        "sport": 1,
        "ann": 1,
        "lee": 1,
        "8": 1,
        "2023": 1,
        "2023-05-08": 1,
        "2023-05-09": 1,
        "2023-05": 1,
    }
    assert features.words == 5
    assert features.speaker == ("ann", "lee")


@pytest.mark.parametrize(
    ("text", "speaker"),
    [
        ("Ann: I was there", ("ann",)),
        ("Dr. Ann Lee: I was there", ("dr", "ann", "lee")),
        ("What she said: nothing", ()),
        ("https://example.org", ()),
        ("12: a number", ()),
        ("A: b", ("a",)),
        ("One Two Three Four: too long", ()),
    ],
)
def test_a_name_that_leads_a_text_is_its_speaker(text: str, speaker: tuple[str, ...]) -> None:
    assert analyse(text).speaker == speaker


def test_a_speaker_whose_name_leads_the_text_is_counted_once() -> None:
    assert terms_of(analyse("Ann: hello Bob", speaker="Ann")) == {"ann": 1, "hello": 1, "bob": 1}


@pytest.mark.parametrize(
    "text",
    [
        *("We met yesterday", "two years ago", "Last summer was warm", "on Friday"),
        *("in May", "8 May", "May 8", "since 2019", "a few days", "next week"),
    ],
)
def test_texts_that_tell_a_time(text: str) -> None:
    assert analyse(text).tells_time


@pytest.mark.parametrize("text", ["We may go", "the last one", "day and night", "1234 pieces", ""])
def test_texts_that_tell_none(text: str) -> None:
    assert not analyse(text).tells_time


def test_a_question_ends_with_its_mark() -> None:
    assert analyse("Was it good? ").asks
    assert not analyse("Was it? It was.").asks


def test_a_word_of_one_character_is_found_in_a_text_without_spaces() -> None:
    found = terms_of(analyse("私の猫です", speaker="Ann")).keys()
    assert found >= set(parse_query("猫").words) | set(parse_query("私の猫").words)
    assert set(parse_query("猫").words) <= terms_of(analyse("猫")).keys()


def test_a_query_is_its_distinct_words_that_are_terms() -> None:
    query = parse_query("When did Ann's dogs meet the dog of Ann?")
    assert query.words == ("ann", "dogs", "meet", "dog")
    assert query.asks_when


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("What year was it", True),
        ("which of the days", False),
        ("on what summer day", True),
        ("how long ago", True),
        ("whenever you like", False),
        ("what happened", False),
    ],
)
def test_queries_that_ask_for_a_time(text: str, asks: bool) -> None:
    assert parse_query(text).asks_when is asks


def test_what_is_embedded_has_the_heading_and_neither_speaker_nor_date() -> None:
    assert embedding_text("I ran.", "Sports", "Ann") == "Sports\nI ran."
    assert embedding_text("Ann: I ran.", speaker="Ann") == "I ran."
    assert embedding_text("Note: I ran.") == "Note: I ran."


def test_words_are_taken_out_whole_and_folded() -> None:
    unwanted = frozenset({"ann"})
    assert without_words("What did Ann buy, and ANN’s Anna?", unwanted) == "What did buy, and Anna?"

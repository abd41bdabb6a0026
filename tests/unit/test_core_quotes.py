"""What a query insists on by double quotes."""

from __future__ import annotations

import pytest

from service.core.quotes import quoted


@pytest.mark.parametrize(
    ("query", "phrases"),
    [
        ('who said "hello world" first', ["hello world"]),
        ('"one" and "two words"', ["one", "two words"]),
        ('("a b"), "c".', ["a b", "c"]),
        (
            "“a b” „c d“ „e f” ”g” «h i» « j » »k l« ＂m＂",
            [*["a b", "c d", "e f", "g", "h i", " j ", "k l", "m"]],
        ),
        ("“东京”的天气", ["东京"]),
        ('"서울"에서', ["서울"]),
        ("it's 'single' or ‘typographic’ apostrophes", []),
        ('a "quote that is not closed', []),
        ('a 12" pipe and a 5" hose', []),
        ("a 12” pipe and a 5” hose", []),
        ('key="value"s', []),
        ('"..." "" "-"', []),
    ],
)
def test_phrases_stand_in_double_quotes(query: str, phrases: list[str]) -> None:
    assert list(quoted(query)) == phrases

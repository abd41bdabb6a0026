"""Tokens read word by word are those of the text read whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from service.embedding import static
from service.embedding.spaced import LONGEST, SpacedTokens
from service.embedding.tokens import load_tokenizer

TOKENIZER = load_tokenizer(static.DATA / static.TOKENIZER)
TOKENS = SpacedTokens(TOKENIZER)

PARTS = st.sampled_from(
    [
        "tea",
        "Harbour,",
        " ",
        "  ",
        "\n",
        "\u2581",
        "<s>",
        "</s>",
        "<unk>",
        "don't",
        "\u6f22",
        "\x00",
    ]
)
TEXTS = st.lists(st.one_of(PARTS, st.text(max_size=30)), min_size=1, max_size=8).map("".join)


def whole(text: str) -> list[int]:
    ids: list[int] = TOKENIZER.encode(text, add_special_tokens=False).ids
    return ids


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_every_text_has_the_tokens_of_the_tokenizer(texts: list[str]) -> None:
    assert [ids.tolist() for ids in TOKENS.ids(texts)] == [whole(text) for text in texts]


def test_words_that_were_met_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = SpacedTokens(TOKENIZER)
    first = tokens.ids(["black tea and a kettle"])
    monkeypatch.setattr(tokens, "_read", lambda words: pytest.fail(f"reads {words} again"))
    again = tokens.ids(["a kettle and black tea"])
    assert sorted(again[0].tolist()) == sorted(first[0].tolist())


def test_only_so_many_short_words_are_kept() -> None:
    tokens = SpacedTokens(TOKENIZER, remembered=10)
    for number in range(40):
        text = f"word{number} of {'long' * 10} texts{number}"
        assert tokens.ids([text])[0].tolist() == whole(text)
        assert len(tokens._known) <= 10
        assert all(len(word) <= LONGEST for word in tokens._known)


def test_a_tokenizer_that_joins_over_spaces_is_refused() -> None:
    joining = Tokenizer(models.BPE({"a": 0, "\u2581": 1, "a\u2581": 2}, [("a", "\u2581")]))
    with pytest.raises(ValueError, match="joins tokens over spaces"):
        SpacedTokens(joining)
    splitting = Tokenizer(models.BPE({"a": 0, "\u2581": 1}, []))
    splitting.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match="joins tokens over spaces"):
        SpacedTokens(splitting)

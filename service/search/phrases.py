"""Phrases that a text must hold or must not hold, word for word.

The index has the terms of a text, not their order: it says which texts may hold a phrase
(`Phrases.required`), and the texts themselves which do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from service.search.entry import NO_TERM, TermHasher
from service.search.words import paired_characters, split_words

# What separates words even in a script that writes them without spaces: white space and
# punctuation, except apostrophes.
_GAPS = re.compile(
    r"[\s!-&(-/:-@\[-`{-~\u2010-\u2018\u201a-\u2027\u2030-\u205e\u3001-\u3003\u3008-\u301f\u30fb"
    r"\uff01-\uff0f\uff1a-\uff20]+"
)


class Phrases:
    """A test of texts.

    A text holds a phrase if the phrase's words stand in it next to each other, in order.
    Words are those of `split_words`: without case and accents, but with their endings;
    in scripts that write no spaces, each character counts as one.

    Args:
        contained: Phrases that a text must hold, all of them.
        excluded: Phrases of which it must hold none.
    """

    def __init__(self, contained: Sequence[str], excluded: Sequence[str] = ()) -> None:
        self._phrases = contained
        self._contained = [line for line in map(_line, contained) if line != _NOTHING]
        self._excluded = [line for line in map(_line, excluded) if line != _NOTHING]

    def __bool__(self) -> bool:
        """Whether any text could fail the test."""
        return bool(self._contained or self._excluded)

    def admit(self, text: str) -> bool:
        """Whether a text holds all that it must, and nothing that it must not."""
        line = _line(text)
        return all(phrase in line for phrase in self._contained) and not any(
            phrase in line for phrase in self._excluded
        )

    def required(self, hasher: TermHasher) -> list[tuple[int, ...]]:
        """For each phrase that must be held, the terms that every text has which holds it."""
        required = []
        for phrase in self._phrases:
            words = (word for piece in _GAPS.split(phrase) for word in split_words(piece))
            hashes = dict.fromkeys(map(hasher.terms.__getitem__, words))
            hashes.pop(NO_TERM, None)
            required.append(tuple(hashes))
        return required


_NOTHING = "  "
"""The line of a text without words."""


def _line(text: str) -> str:
    """The words of a text between spaces: it holds a phrase whose line is in its line."""
    words = split_words(text) if text.isascii() else _words(text)
    return f" {' '.join(words)} "


def _words(text: str) -> Iterator[str]:
    """The words, and each character by itself of scripts that write no spaces."""
    open_ended = False
    for piece in _GAPS.split(text):
        before = ""
        for word in split_words(piece):
            unspaced = _unspaced(word[0])
            if unspaced and open_ended and not before:
                yield ""  # Two characters next to each other are not the same as two apart.
            if unspaced and before == word[0] and len(word) == 2:
                yield word[1]
            else:
                yield from word if unspaced else (word,)
            before = word[-1] if unspaced else ""
            open_ended = unspaced


@lru_cache(maxsize=4096)
def _unspaced(character: str) -> bool:
    """Whether a character is of a script that writes no spaces between words."""
    return bool(paired_characters(character * 2))

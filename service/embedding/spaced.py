"""Token ids of texts, computed word by word and cached.

SentencePiece models of the Llama family (BPE without a pre-tokenizer, a space written
as `▁`) join no tokens over the start of a word: apart from runs of `▁`, no token has one
inside. The tokens of a text are then those of its words one after the other, and most
words of a text have been met before. Merging is what a tokenizer spends its time on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE: Final = "▁"
_WORD: Final = re.compile(" +[^ ]*")

REMEMBERED: Final = 65_536
"""Words kept, of up to `LONGEST` characters: some 10 MB. Like the terms that
searches keep, they belong to no text; a longer word may be a secret, and is not kept."""

LONGEST: Final = 24


class SpacedTokens:
    """The tokens of a tokenizer, faster.

    Args:
        tokenizer: Normalizes by putting a space in front and writing `▁` for spaces.
        remembered: How many words are kept.

    Raises:
        ValueError: The tokenizer works otherwise, so that words cannot be read alone.
    """

    def __init__(self, tokenizer: Tokenizer, remembered: int = REMEMBERED) -> None:
        names = tokenizer.get_vocab(with_added_tokens=False)
        inside = any(SPACE in name.lstrip(SPACE) for name in names)
        if inside or tokenizer.pre_tokenizer is not None:
            raise ValueError("the tokenizer joins tokens over spaces")
        self._tokenizer = tokenizer
        self._remembered = remembered
        special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        # In texts with one of these the words are not all that is between spaces.
        self._odd = re.compile("|".join((r" \Z", *map(re.escape, (SPACE, *special)))))
        self._known: dict[str, bytes] = {}

    def ids(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The ids of each text's tokens, without special ones."""
        texts_words = [
            [text] if self._odd.search(text) else [word[1:] for word in _WORD.findall(f" {text}")]
            for text in texts
        ]
        known = self._known
        missing = {word for words in texts_words for word in words if word not in known}
        fresh = self._read(missing) if missing else {}
        self._remember(fresh)
        return [
            np.frombuffer(
                b"".join([fresh[word] if word in fresh else known[word] for word in words]),
                np.int32,
            )
            for words in texts_words
        ]

    def _read(self, words: Iterable[str]) -> dict[str, bytes]:
        distinct = list(words)
        read = self._tokenizer.encode_batch_fast(distinct, add_special_tokens=False)
        return {
            word: np.array(encoding.ids, np.int32).tobytes()
            for word, encoding in zip(distinct, read, strict=True)
        }

    def _remember(self, fresh: dict[str, bytes]) -> None:
        short = {word: ids for word, ids in fresh.items() if len(word) <= LONGEST}
        if len(self._known) + len(short) > self._remembered:
            # Another thread may be reading the old one.
            self._known = {}
        self._known.update(short)

"""An embedder of words: texts are alike as far as they share some.

`words:NAME` is a vector space of its own for every name.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from service.embedding.base import InlineEmbedder, Purpose, Vectors

DIMENSION = 64


class WordsEmbedder(InlineEmbedder):
    def __init__(self, name: str) -> None:
        self._name = f"words:{name}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return DIMENSION

    async def load(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:
        return self._compute(texts, purpose)

    def _compute(self, texts: list[str], purpose: Purpose) -> Vectors:
        return np.array([self.vector(text) for text in texts], np.float32)

    def vector(self, text: str) -> Sequence[float]:
        row = [0.0] * DIMENSION
        for word in text.lower().split():
            row[crc32(f"{self._name} {word}".encode()) % DIMENSION] += 1
        return row


def open_embedder(argument: str, key: str | None) -> WordsEmbedder:
    return WordsEmbedder(argument)

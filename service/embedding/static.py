"""Static token vectors, averaged: WordLlama (github.com/dleemiller/WordLlama, MIT).

A token's vector does not depend on its neighbours, so that a text costs a look-up
and a sum: some 30,000 short texts a second on one core. Weights and tokenizer are files
of the package `wordllama`. Its code is not run: it would load far more than
the two files, and cannot find its tokenizer without a network.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from service.embedding.base import EmbedderRefusedError, InlineEmbedder, Purpose, Vectors
from service.embedding.digests import digest
from service.embedding.limiter import EmbedderThreads, sliced
from service.embedding.spaced import SPACE, SpacedTokens
from service.embedding.tokens import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PACKAGE = "wordllama"
_WEIGHTS = "wordllama/weights/l2_supercat_256.safetensors"
_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"
_RECIPE = "mean of words, their parts and punctuation, none special; capitals alone as small"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_KNOWN_LETTERS = 1.4
"""Letters of a token, on average over a text: 2 to 3.5 in languages that the model knows, 1.2
in Vietnamese, 1 in Greek."""

_SLICE = 64
"""Texts per call of the thread: some 20 ms of work with chunks of 256 tokens."""


@dataclass(frozen=True, slots=True)
class _Model:
    tokens: SpacedTokens
    vectors: NDArray[np.float32]
    """(tokens, dimension); zeros for tokens that say nothing about a text's subject."""
    telling: NDArray[np.float32]
    """(tokens,) letters beyond what the tokens of a language have that the model knows."""


class StaticEmbedder(InlineEmbedder):
    """WordLlama's 256 dimensions.

    Raises:
        EmbedderRefusedError: The package `wordllama` is missing or has other files.
    """

    def __init__(self) -> None:
        self._weights, self._tokenizer = package_files()
        try:
            with safe_open(self._weights, framework="numpy") as file:
                self._dimension = int(file.get_slice(_TENSOR).get_shape()[1])
            self._name = f"static:wordllama-l2-supercat-{self._dimension}:" + digest(
                (self._weights, self._tokenizer), _RECIPE
            )
        except Exception as error:
            raise _unusable(error) from error
        self._model: _Model | None = None
        self._loading = threading.Lock()
        # One: half of the work is in Python, and a second thread gains nothing.
        self._threads = EmbedderThreads(1, "embed-static")

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return self._dimension

    async def load(self) -> None:
        await self._threads.map(lambda _: self._loaded(), [None])

    async def close(self) -> None:
        await self._threads.close()

    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:
        slices = await self._threads.map(
            lambda part: self._compute(part, purpose), sliced(texts, _SLICE)
        )
        return np.concatenate(slices)

    def _compute(self, texts: list[str], purpose: Purpose) -> Vectors:  # noqa: ARG002
        model = self._loaded()
        # Without the division by the count: only the direction is used.
        sums = np.zeros((len(texts), self._dimension), np.float32)
        # Capitals are other tokens, and fall into pieces: a text of them alone is read as small.
        read = [text.lower() if text.isupper() else text for text in texts]
        for row, tokens in enumerate(model.tokens.ids(read)):
            if model.telling[tokens].sum() > 0:
                np.take(model.vectors, tokens, axis=0).sum(axis=0, out=sums[row])
        return sums

    def _loaded(self) -> _Model:
        with self._loading:
            if self._model is None:
                try:
                    with safe_open(self._weights, framework="numpy") as file:
                        vectors = file.get_tensor(_TENSOR).astype(np.float32)
                    tokenizer = load_tokenizer(self._tokenizer)
                    telling, meaningless = _judged(tokenizer, len(vectors))
                    vectors[meaningless] = 0
                    self._model = _Model(SpacedTokens(tokenizer), vectors, telling)
                except Exception as error:
                    raise _unusable(error) from error
            return self._model


def open_embedder(argument: str, key: str | None) -> StaticEmbedder:  # noqa: ARG001
    """`static`: it takes no argument.

    Raises:
        EmbedderRefusedError: An argument was given, or the model cannot be used.
    """
    if argument:
        raise EmbedderRefusedError("the embedder is named `static`, without anything behind it")
    return StaticEmbedder()


def package_files() -> tuple[Path, Path]:
    """Weights and tokenizer; raises EmbedderRefusedError."""
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise EmbedderRefusedError(
            f"the embedder `static` needs the package {_PACKAGE}, which is not installed"
        ) from error
    return Path(str(package.locate_file(_WEIGHTS))), Path(str(package.locate_file(_TOKENIZER)))


def _judged(tokenizer: Tokenizer, count: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How much each token tells, and which mean nothing: single letters, bytes and digits.

    A language that the model does not know is cut into single letters, bytes and pairs that
    happen to be tokens. A text of such tokens gets no vector: it would be near all others.
    """
    telling, meaningless = np.zeros(count, np.float32), np.zeros(count, np.bool_)
    for token, number in tokenizer.get_vocab().items():
        bare = token.replace(SPACE, "")
        if _BYTE.fullmatch(bare):
            telling[number], meaningless[number] = 1 - _KNOWN_LETTERS, True
            continue
        letters = sum(map(str.isalpha, bare))
        # Two letters of a script that has few tokens, such as the Arabic article, tell nothing.
        meaningless[number] = bare.isdecimal() or 0 < len(bare) == letters < _least(bare)
        if letters:
            telling[number] = (1 if meaningless[number] else letters) - _KNOWN_LETTERS
    return telling, meaningless


def _least(token: str) -> int:
    """The letters of a token that means something."""
    return 2 if token.isascii() or "\u0400" <= token[0] <= "\u04ff" else 3


def _unusable(error: Exception) -> EmbedderRefusedError:
    return EmbedderRefusedError(
        f"the files of the package {_PACKAGE} cannot be used; reinstall it: {error}"
    )

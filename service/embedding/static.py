"""Static token vectors, averaged: WordLlama (github.com/dleemiller/WordLlama, MIT).

A token's vector does not depend on its neighbours, so that a text costs a look-up
and a sum: some 30,000 short texts a second on one core. Weights and tokenizer are files
of the package `wordllama`. Its code is not run: it would load far more than
the two files, and cannot find its tokenizer without a network.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from service.embedding.base import EmbedderRefusedError, InlineEmbedder, Purpose, Vectors
from service.embedding.digests import digest
from service.embedding.limiter import EmbedderThreads, sliced
from service.embedding.spaced import SpacedTokens
from service.embedding.tokens import load_tokenizer

_PACKAGE = "wordllama"
_WEIGHTS = "wordllama/weights/l2_supercat_256.safetensors"
_TOKENIZER = "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
_TENSOR = "embedding.weight"
_RECIPE = "mean of all tokens, none special"
_SLICE = 64
"""Texts per call of the thread: some 20 ms of work with chunks of 256 tokens."""


@dataclass(frozen=True, slots=True)
class _Model:
    tokens: SpacedTokens
    vectors: NDArray[np.float32]


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
        for row, tokens in enumerate(model.tokens.ids(texts)):
            np.take(model.vectors, tokens, axis=0).sum(axis=0, out=sums[row])
        return sums

    def _loaded(self) -> _Model:
        with self._loading:
            if self._model is None:
                try:
                    with safe_open(self._weights, framework="numpy") as file:
                        vectors = file.get_tensor(_TENSOR).astype(np.float32)
                    tokens = SpacedTokens(load_tokenizer(self._tokenizer))
                    self._model = _Model(tokens, vectors)
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


def _unusable(error: Exception) -> EmbedderRefusedError:
    return EmbedderRefusedError(
        f"the files of the package {_PACKAGE} cannot be used; reinstall it: {error}"
    )

"""Static token vectors, averaged: WordLlama (github.com/dleemiller/WordLlama, MIT).

A token's vector does not depend on its neighbours, so that a text costs a look-up
and a sum: some 30,000 short texts a second on one core. Weights and tokenizer are two files
of the package `wordllama` 0.4.0.post1, kept in `data` with its licence: the package itself
needs a compiler where it has no wheel, and its code is not run.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from service.embedding.base import EmbedderRefusedError, InlineEmbedder, Purpose, Vectors
from service.embedding.digests import combined, sha256
from service.embedding.limiter import EmbedderThreads, sliced
from service.embedding.spaced import SPACE, SpacedTokens
from service.embedding.tokens import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DATA: Final = Path(__file__).parent / "data"
WEIGHTS: Final = "l2_supercat_256.safetensors"
TOKENIZER: Final = "l2_supercat_tokenizer_config.json"
SHA256: Final[Mapping[str, str]] = {
    WEIGHTS: "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    TOKENIZER: "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
}
"""Those of the package's own record."""

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

    Args:
        data: The folder of its two files.

    Raises:
        EmbedderRefusedError: A file is missing, or is not the one that was released.
    """

    def __init__(self, data: Path = DATA) -> None:
        self._weights, self._tokenizer = data / WEIGHTS, data / TOKENIZER
        hashes = [_verified(file) for file in (self._weights, self._tokenizer)]
        try:
            with safe_open(self._weights, framework="numpy") as file:
                self._dimension = int(file.get_slice(_TENSOR).get_shape()[1])
        except Exception as error:
            raise _unusable(error) from error
        self._name = f"static:wordllama-l2-supercat-{self._dimension}:" + combined(hashes, _RECIPE)
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


def _verified(file: Path) -> bytes:
    """The SHA-256 of one of the files, which is the one that was released."""
    try:
        found = sha256(file)
    except OSError as error:
        raise _unusable(error) from error
    if found.hex() != SHA256[file.name]:
        # Its vectors would be taken for those of another model, and everything indexed again.
        raise _unusable(f"{file} was changed")
    return found


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


def _unusable(reason: Exception | str) -> EmbedderRefusedError:
    return EmbedderRefusedError(
        f"the files of the embedder `static` cannot be used; reinstall Palimpsest: {reason}"
    )

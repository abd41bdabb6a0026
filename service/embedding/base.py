"""What every embedder is, and how it fails.

`embed` is a template: it keeps blank texts from the model, checks what the
model gave, and brings every row to unit length. An embedder supplies `_embed`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import cached_property
from time import perf_counter
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
"""Shape (texts, dimension)."""


OUTCOMES: Final = ("ok", "unavailable", "refused", "cancelled")
"""How calls of an embedder end; a call that took too long is cancelled."""

TIMEOUT_SECONDS = 5.0
"""How long a memory or a query waits for its vector before it goes on without one."""


class Purpose(Enum):
    """What a text is embedded for; some models distinguish this."""

    DOCUMENT = "document"
    QUERY = "query"


class EmbedderError(Exception):
    """A text could not be embedded.

    The message is for the operator: it names the embedder and what to do, and
    holds neither texts nor secrets.
    """


class EmbedderUnavailableError(EmbedderError):
    """The embedder is down, slow or busy: later it may work."""


class EmbedderRefusedError(EmbedderError):
    """Trying again will not help: the settings, the model or a text must change."""


class EmbedderUsage:
    """What an embedder was asked for in this process.

    Attributes:
        calls: How many ended in each of `OUTCOMES`.
        texts: Texts of all calls.
        seconds: How long the calls took together; those made at once count each.
    """

    def __init__(self) -> None:
        self.calls = dict.fromkeys(OUTCOMES, 0)
        self.texts = 0
        self.seconds = 0.0

    @contextmanager
    def call(self, texts: int) -> Iterator[None]:
        """The block is a call with so many texts."""
        began, outcome = perf_counter(), "cancelled"
        try:
            yield
            outcome = "ok"
        except EmbedderError as error:
            outcome = "refused" if isinstance(error, EmbedderRefusedError) else "unavailable"
            raise
        finally:
            self.calls[outcome] += 1
            self.texts += texts
            self.seconds += perf_counter() - began


class Embedder(ABC):
    """Makes vectors of texts. Safe for use by many tasks of one event loop."""

    @cached_property
    def usage(self) -> EmbedderUsage:
        return EmbedderUsage()

    @property
    @abstractmethod
    def name(self) -> str:
        """The vector space: kind, model, and a digest of all that shapes the vectors.

        It is stored with every vector. Vectors are comparable exactly if
        their names are equal.
        """

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Length of every vector. Known before the first text is embedded."""

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> Vectors:
        """Vectors of the texts, in their order, without holding up the event loop.

        Any number of texts may be given and any number of calls made at once:
        the embedder bounds its own concurrency, and shares it fairly between
        calls. A call may be cancelled; work already begun for it is finished
        and its result dropped.

        Returns:
            A row of unit length per text; zeros for a text without any token.

        Raises:
            EmbedderUnavailableError: It is down, slow or busy.
            EmbedderRefusedError: It cannot embed these texts, now or later.
        """
        non_blank = _non_blank(texts)
        if not non_blank:
            return np.zeros((len(texts), self.dimension), np.float32)
        with self.usage.call(len(non_blank)):
            found = await self._embed([texts[i] for i in non_blank], purpose)
            return self._rows(len(texts), non_blank, found)

    async def embed_with_timeout(
        self, texts: Sequence[str], purpose: Purpose, seconds: float = TIMEOUT_SECONDS
    ) -> Vectors:
        """As `embed`, for requests that a caller waits for: fails after so many seconds.

        Raises:
            EmbedderUnavailableError: It is down, slow or busy.
            EmbedderRefusedError: It cannot embed these texts, now or later.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self.embed(texts, purpose)
        except TimeoutError as error:
            raise EmbedderUnavailableError(
                f"{self.name} took longer than {seconds:g} seconds"
            ) from error

    @abstractmethod
    async def load(self) -> None:
        """Do now what the first `embed` would otherwise wait for.

        Raises:
            EmbedderRefusedError: The model cannot be used.
        """

    @abstractmethod
    async def close(self) -> None:
        """Release threads and connections. Nothing may be embedded afterwards."""

    @abstractmethod
    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:
        """A row per text, of any length. There is at least one text, and none is blank."""

    def _rows(self, count: int, non_blank: Sequence[int], found: Vectors) -> Vectors:
        """`count` rows: those found, at unit length and in their places, and zeros.

        Raises:
            EmbedderRefusedError: The model gave vectors of another shape, or no numbers.
        """
        if found.shape != (len(non_blank), self.dimension):
            raise EmbedderRefusedError(
                f"{self.name} gave vectors of shape {found.shape} for {len(non_blank)} texts, "
                f"and its dimension is {self.dimension}: name the model and dimension that "
                "belong together"
            )
        lengths = np.sqrt(np.einsum("ij,ij->i", found, found, dtype=np.float32))
        if not np.isfinite(lengths).all():
            raise EmbedderRefusedError(f"{self.name} gave vectors that are not finite numbers")
        rows = np.zeros((count, self.dimension), np.float32)
        rows[non_blank] = found / np.where(lengths > 0, lengths, 1)[:, None]
        return rows


class InlineEmbedder(Embedder):
    """An embedder that embeds a short text faster than a thread could be handed it."""

    def embed_now(self, texts: Sequence[str], purpose: Purpose) -> Vectors:
        """The rows `embed` gives, computed in the calling thread.

        For memories and queries, whose texts are few and short: a text of
        100 characters takes about 0.1 ms. The first call loads the model,
        unless `load` has.

        Raises:
            EmbedderRefusedError: The model cannot be used.
        """
        non_blank = _non_blank(texts)
        if not non_blank:
            return np.zeros((len(texts), self.dimension), np.float32)
        with self.usage.call(len(non_blank)):
            return self._rows(
                len(texts), non_blank, self._compute([texts[i] for i in non_blank], purpose)
            )

    @abstractmethod
    def _compute(self, texts: list[str], purpose: Purpose) -> Vectors:
        """As `_embed`, in the calling thread."""


def _non_blank(texts: Sequence[str]) -> list[int]:
    """The positions of the texts that are not blank."""
    return [i for i, text in enumerate(texts) if text and not text.isspace()]

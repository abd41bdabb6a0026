"""Every number of the ranking, with its meaning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """What the parts of a rank score count, the lexical part's best being 1."""

    k1: float = 1.2
    """How soon further occurrences of a term stop counting (Okapi BM25)."""

    b: float = 0.75
    """How much a long item's terms count less (Okapi BM25)."""

    lexical_reach: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    """The share of the words' score an item gets from its neighbour at distance 1, 2, …:
    an answer stands beside its question, and what is spoken of is not named in every turn."""

    semantic: float = 1.3
    """The cosine, brought to 0..1 over the eligible items."""

    speaker: float = 0.7
    """The query names one speaker and he says it."""

    substance: float = 0.4
    """The item has `full_length` words or more; in proportion if fewer: greetings and
    interjections match well and tell little."""

    full_length: int = 40

    coverage: float = 0.3
    """The share of the query's terms, by idf, in the item and the neighbours beside it."""

    question: float = -0.1
    """The item is itself a question: it asks what the query asks and holds no answer."""

    time: float = 0.2
    """The query asks when, and the item has a time expression."""


WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Calibration:
    """What differs between embedders."""

    neighbourhood: tuple[float, ...]
    """How much of the vectors of the neighbours at distance 1, 2, … goes into an item's."""

    bias: float
    """Confidence is 1 / (1 + exp(-(bias + words·w + cosine·c))), where w is the best
    item's BM25 over its upper bound and c the best raw cosine."""

    words: float
    cosine: float


STATIC = Calibration(neighbourhood=(0.6, 0.3), bias=-6.0, words=6.0, cosine=8.0)
"""Averaged word vectors (WordLlama): cosines of related texts lie about 0.5."""

TRANSFORMER = Calibration(neighbourhood=(0.5,), bias=-6.0, words=6.0, cosine=8.0)
"""Sentence transformers (MiniLM and its like), and embedders that are not known."""

LEXICAL = Calibration(neighbourhood=(), bias=-3.0, words=8.0, cosine=0.0)
"""No vectors at all."""


def calibration(embedder: str) -> Calibration:
    """The calibration for an embedder's name; "" is none."""
    if not embedder:
        return LEXICAL
    return STATIC if "wordllama" in embedder.lower() else TRANSFORMER

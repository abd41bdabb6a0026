"""Every number of the ranking, with its meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weights:
    """What the parts of a rank score count; the best words count 1."""

    k1: float = 1.2
    """How soon further occurrences of a term stop counting (Okapi BM25, its usual value)."""

    b: float = 0.75
    """How much less a long item's terms count (Okapi BM25, its usual value)."""

    near: float = 0.4
    """The share of the words' score an item gets from a neighbour, less the farther it is:
    what a conversation or a passage is about is not named again in every sentence."""

    near_words: int = 125
    """At this distance in words nothing of that share is left: four turns of a
    conversation, or less than one long paragraph."""

    near_items: int = 6
    """Nor beyond so many items, however short."""

    semantic: float = 1.3
    """The cosine, brought to 0..1 over the eligible items."""

    coverage: float = 0.4
    """The share of the query's terms, by idf, in the item and its two neighbours."""

    reply: float = 0.5
    """The item before asks a question, and shares the query's words: this one answers it."""

    exact: float = 5.0
    """The share, by idf, of the query's numbers and codes that the item holds. More than all
    other parts together: what has another number is not what was asked for."""

    document: float = 0.2
    """The share an item gets of the best rank score in its document, so that the rest of a
    document with a strong match goes before scattered weak ones. A memory counts as a document
    of its own."""

    speaker: float = 0.7
    """The query names one speaker, who says the item."""

    substance: float = 0.45
    """The item has `full_length` words or more; in proportion if fewer: greetings and
    interjections match well and tell little."""

    full_length: int = 40

    question: float = -0.1
    """The item is itself a question: it asks what the query asks, and does not answer it."""

    echo: float = -2.0
    """A question that has all terms of a query which is a question too: it asks the same."""

    time: float = 0.3
    """The query asks when, and the item has a time expression."""


WEIGHTS = Weights()

_CYRILLIC = re.compile("[\u0400-\u052f]")


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the cosines of one embedder mean."""

    neighbourhood: tuple[float, ...]
    """How much of the vectors of the neighbours at distance 1, 2, … goes into an item's."""

    noise_floor: float
    """The best cosine a query reaches in a container that has nothing to do with it;
    up to here a cosine says nothing."""

    certain: float
    """The cosine that shows by itself, without a word in common, that the query has to
    do with the item."""

    elsewhere: tuple[float, float] | None = None
    """The last two for queries in other languages than English, where they differ."""

    cyrillic: tuple[float, float] | None = None
    """The same for queries in Cyrillic letters."""

    def for_query(self, text: str, *, english: bool) -> tuple[float, float]:
        """The noise floor, and what is certain, for a query in its language."""
        usual = (self.noise_floor, self.certain)
        if _CYRILLIC.search(text):
            return self.cyrillic or usual
        return usual if english else self.elsewhere or usual


STATIC = Calibration(
    neighbourhood=(0.5, 0.25),
    noise_floor=0.4,
    certain=0.6,
    elsewhere=(0.45, 0.65),
    cyrillic=(0.55, 0.75),
)
"""Averaged vectors of tokens (WordLlama): a short text's is noisy, and gains from a wide view."""

MULTILINGUAL = Calibration(neighbourhood=(0.3,), noise_floor=0.4, certain=0.58)
"""The universal sentence encoder for many languages (`embedding.multilingual`)."""

TRANSFORMER = Calibration(neighbourhood=(0.3,), noise_floor=0.43, certain=0.6)
"""Sentence transformers (all-MiniLM-L6-v2), and embedders that are not known."""

ENOUGH = 0.43
"""The share of a query's terms, by idf, that shows by itself that the query has to do with
what is searched: half of all queries with just this share do."""

ENOUGH_ALONE = 0.33
"""The same where there is no vector that could show more."""

OWN_EVIDENCE = 0.6
"""How much of the confidence in an item rests on its own words and vector; the rest rests on
the best that was found anywhere, since an answer need not repeat the question."""

EXACT_EVIDENCE = 0.25
"""What it shows in addition that an item holds the query's numbers and codes."""

CLOSE_CALL = 0.2
"""What the confidence loses where the next item is as good as the best."""

CLOSE_MARGIN = 0.25
"""At how much more of the rank score a third of that loss is left."""

UNMET = 0.45
"""What is left of the confidence in an item that lacks a number or code of the query, and in
all items if none has it: below one half."""

LOGISTIC_SLOPE = 11.0
"""How steeply confidence rises around one half (the slope of a logistic curve)."""


def calibration(embedder: str) -> Calibration:
    """The calibration for an embedder's name; `probes.calibrate` finds a better one for others."""
    name = embedder.lower()
    if "wordllama" in name:
        return STATIC
    return MULTILINGUAL if "use-multilingual" in name else TRANSFORMER

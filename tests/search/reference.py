"""Ranking as one would write it without caring for speed: the measure of the real one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from service.search.analysis import Features, analyse, analyse_query
from service.search.entry import TermHasher, encode_entries, encode_vectors
from service.search.segment import ALWAYS, Item, ItemKind
from service.search.visibility import Spans
from service.search.weights import (
    ENOUGH_WORDS,
    LOGISTIC_SLOPE,
    WEIGHTS,
    Calibration,
)
from service.search.words import term_of

HASHER = TermHasher(b"a secret of the tests")
CALIBRATION = Calibration(neighbourhood=(0.5, 0.25), noise_floor=0.4, certain=0.6)


@dataclass(frozen=True)
class Text:
    """An item, before it is encoded."""

    id: str
    text: str
    kind: ItemKind = ItemKind.MEMORY
    group: str = ""
    position: int = 0
    speaker: str = ""
    vector: tuple[float, ...] | None = None
    shown: Spans = ALWAYS

    @property
    def owner(self) -> str:
        return self.group or self.id

    @property
    def features(self) -> Features:
        return analyse(self.text, speaker=self.speaker)

    @property
    def digest(self) -> bytes:
        return blake2b(self.text.encode(), digest_size=8).digest()

    @property
    def item(self) -> Item:
        vector = None
        if self.vector is not None:
            (vector,) = encode_vectors(np.array([self.vector], np.float32))
        (entry,) = encode_entries([self.features], HASHER)
        return Item(
            self.id, self.kind, entry, self.digest, vector, self.group, self.position, self.shown
        )

    def is_shown(self, at: int) -> bool:
        return any(start <= at < until for start, until in self.shown)


def terms_of(features: Features) -> Counter[str]:
    """How often each term occurs."""
    terms = Counter(map(term_of, features.counted))
    del terms[""]
    return terms


def unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector] if length else list(vector)


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


class Reference:
    """Ranks some eligible texts by a query.

    Args:
        texts: all that is eligible; groups are whole.
        query: its text.
        vector: its vector.
    """

    def __init__(self, texts: Sequence[Text], query: str, vector: Sequence[float] | None) -> None:
        self.texts = sorted(texts, key=lambda text: (text.group, text.position, text.id))
        self.features = [text.features for text in self.texts]
        self.question = analyse_query(query)
        self.vector = vector
        self.confidence = 0.0

    def neighbours(self, row: int, distance: int) -> list[int]:
        """The rows at a distance in the row's group."""
        return [
            other
            for other in (row - distance, row + distance)
            if 0 <= other < len(self.texts)
            and self.texts[row].group
            and self.texts[other].group == self.texts[row].group
        ]

    def words_between(self, row: int, other: int) -> float:
        """Words from the middle of one row to that of another."""
        first, last = sorted((row, other))
        between = sum(self.features[i].words for i in range(first + 1, last))
        return between + (self.features[first].words + self.features[last].words) / 2

    def totals(self) -> dict[str, float]:
        """The rank score of each text that is a result, by id."""
        rows = range(len(self.texts))
        bm25, coverage = self.words()
        lexical = []
        for row in rows:
            shared = bm25[row]
            for distance in range(1, WEIGHTS.near_items + 1):
                for other in self.neighbours(row, distance):
                    away = self.words_between(row, other) / WEIGHTS.near_words
                    shared += WEIGHTS.near * max(0, 1 - away) * bm25[other]
            lexical.append(shared)
        most, best = max(lexical, default=0), max(bm25, default=0)
        cosine, semantic = self.vectors()
        speaker = self.named_speaker()
        totals = []
        for row in rows:
            features = self.features[row]
            before = row - 1 if row - 1 in self.neighbours(row, 1) else None
            reply = bm25[before] if before is not None and self.features[before].asks else 0
            total = lexical[row] / most if most else 0
            total += WEIGHTS.semantic * (semantic[row] or 0)
            total += WEIGHTS.coverage * coverage[row]
            total += WEIGHTS.reply * (reply / best if best else 0)
            total += WEIGHTS.speaker * (speaker is not None and features.speaker == speaker)
            total += WEIGHTS.substance * min(1, features.words / WEIGHTS.full_length)
            total += WEIGHTS.question * features.asks
            total += WEIGHTS.time * (self.question.asks_when and features.tells_time)
            totals.append(total)
        whole = [
            totals[row]
            + WEIGHTS.document
            * max(
                totals[other]
                for other in rows
                if other == row
                or (self.texts[row].group and self.texts[other].group == self.texts[row].group)
            )
            for row in rows
        ]
        self.confidence = self.confident(max(coverage, default=0), max(cosine, default=0))
        return {
            self.texts[row].id: whole[row]
            for row in rows
            if lexical[row] > 0 or semantic[row] is not None
        }

    def words(self) -> tuple[list[float], list[float]]:
        """BM25, and the share of the query's terms in each text and its neighbours."""
        count = len(self.texts)
        bm25, coverage = [0.0] * count, [0.0] * count
        terms = [terms_of(features) for features in self.features]
        lengths = [sum(counts.values()) for counts in terms]
        average = sum(lengths) / count if count else 0
        idfs = {}
        for term in dict.fromkeys(map(term_of, self.question.words)):
            df = sum(term in counts for counts in terms)
            idfs[term] = math.log(1 + (count - df + 0.5) / (df + 0.5))
        for row in range(count):
            for term, idf in idfs.items():
                times = terms[row].get(term, 0)
                if times:
                    longer = 1 - WEIGHTS.b + WEIGHTS.b * lengths[row] / average
                    bm25[row] += idf * times * (WEIGHTS.k1 + 1) / (times + WEIGHTS.k1 * longer)
                near = (row, *self.neighbours(row, 1))
                if any(term in terms[other] for other in near):
                    coverage[row] += idf / sum(idfs.values())
        return bm25, coverage

    def vectors(self) -> tuple[list[float], list[float | None]]:
        """Each text's own cosine, and that of its surroundings brought to 0..1."""
        if self.vector is None:
            return [], [None] * len(self.texts)
        asked = unit(self.vector)
        own = [
            unit(np.array(unit(t.vector), np.float16).astype(float).tolist())
            if t.vector
            else [0.0] * len(asked)
            for t in self.texts
        ]
        near: list[float | None] = []
        for row, text in enumerate(self.texts):
            around = list(own[row])
            for distance, share in enumerate(CALIBRATION.neighbourhood, 1):
                for other in self.neighbours(row, distance):
                    around = [x + share * y for x, y in zip(around, own[other], strict=True)]
            near.append(dot(unit(around), asked) if text.vector else None)
        known = [value for value in near if value is not None]
        if not known:
            return [0.0], near
        width = max(max(known) - min(known), CALIBRATION.certain - CALIBRATION.noise_floor)
        scaled = [None if v is None else 1 - (max(known) - v) / width for v in near]
        return [dot(vector, asked) for vector in own], scaled

    def named_speaker(self) -> tuple[str, ...] | None:
        named = {f.speaker for f in self.features if set(f.speaker) & set(self.question.words)}
        return named.pop() if len(named) == 1 else None

    def confident(self, words: float, cosine: float) -> float:
        far = max(0, cosine - CALIBRATION.noise_floor) / (
            CALIBRATION.certain - CALIBRATION.noise_floor
        )
        evidence = words + ENOUGH_WORDS * far
        return 1 / (1 + math.exp(-LOGISTIC_SLOPE * (evidence - ENOUGH_WORDS)))

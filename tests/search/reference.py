"""Ranking as one would write it without caring for speed: the measure of the real one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from service.search.analysis import Features, analyse
from service.search.entry import TermHasher, encode_entries, encode_vectors
from service.search.evidence import FEW, PART_SHARE
from service.search.parsed_query import QueryTerm, parse_query
from service.search.segment import ALWAYS, Item, ItemKind
from service.search.visibility import Spans
from service.search.weights import (
    CLOSE_CALL,
    CLOSE_MARGIN,
    ENOUGH,
    ENOUGH_ALONE,
    EXACT_EVIDENCE,
    LOGISTIC_SLOPE,
    OWN_EVIDENCE,
    STATIC,
    UNMET,
    WEIGHTS,
)
from service.search.words import split_words, term_of

HASHER = TermHasher(b"a secret of the tests")
CALIBRATION = STATIC


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
    terms = Counter(map(term_of, (*features.counted, *features.further)))
    del terms[""]
    return terms


def length_of(features: Features) -> int:
    """How many terms make up the length of an item."""
    return sum(term_of(word) != "" for word in features.counted)


@dataclass
class Weighed:
    """A query's term among the eligible: what it counts, and what each row holds of it."""

    weight: float
    whole: list[int] | None
    """How often each row has it; None: no row does."""
    parts: list[tuple[float, list[int]]]
    """Of a compound: what each part counts, and how often each row has it."""
    exact: list[int] | None
    """How often each row has what is insisted on; None: nothing is, or no row does."""


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
        self.parsed = parse_query(query)
        self.floor, self.certain = CALIBRATION.for_query(query, english=self.parsed.english)
        self.vector = vector
        self.query = query
        self.confidence: dict[str, float] = {}
        """Of each text, by id; known after `totals`."""

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
        self.terms = [terms_of(features) for features in self.features]
        weighed, absent = self.weighed()
        bm25 = self.bm25()
        own = [self.share(weighed, (row,)) for row in rows]
        coverage = [self.share(weighed, self.around(row)) for row in rows]
        exact = [self.decides(weighed, row) for row in rows]
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
            total += WEIGHTS.exact * exact[row]
            total += WEIGHTS.speaker * (speaker is not None and features.speaker == speaker)
            total += WEIGHTS.substance * min(1, features.words / WEIGHTS.full_length)
            total += WEIGHTS.question * features.asks
            total += WEIGHTS.time * (self.parsed.asks_when and features.tells_time)
            if self.parsed.asks and features.asks and own[row] > 0.9999:
                total += WEIGHTS.echo * (features.words <= 1.25 * len(split_words(self.query)))
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
        most_shown = self.shown(max(coverage, default=0), max(cosine, default=0))
        for row in rows:
            shown = self.shown(coverage[row], cosine[row] if cosine else 0)
            shown = OWN_EVIDENCE * shown + (1 - OWN_EVIDENCE) * most_shown
            shown += EXACT_EVIDENCE * exact[row]
            enough = ENOUGH if semantic[row] is not None else ENOUGH_ALONE
            confidence = 1 / (1 + math.exp(-LOGISTIC_SLOPE * (shown - enough)))
            insisted = any(term.exact is not None for term in weighed)
            met = not insisted or self.exact(weighed, self.around(row)) > 0.9999
            self.confidence[self.texts[row].id] = confidence * (1 if met and not absent else UNMET)
        return {
            self.texts[row].id: whole[row]
            for row in rows
            if lexical[row] > 0 or semantic[row] is not None
        }

    def scores(
        self, found: Sequence[str], best: Sequence[float], texts: Sequence[float] | None = None
    ) -> list[float]:
        """The scores of what was found.

        Args:
            found: Ids, in order.
            best: The rank scores of all texts in order, those that were not found too.
            texts: The same with each text once; None: `best` is that.
        """
        margin = 1.0
        texts = best if texts is None else texts
        if len(texts) > 1:
            margin -= CLOSE_CALL * math.exp((texts[1] - texts[0]) / CLOSE_MARGIN)
        scores: list[float] = []
        for item_id, total in zip(found, best, strict=False):
            share = max(0.0, total / max(best[0], 1e-9)) * margin
            scores.append(min(*scores, 1.0, self.confidence[item_id] * share))
        return scores

    def around(self, row: int) -> tuple[int, ...]:
        return (row, *self.neighbours(row, 1))

    def holds(self, words: Iterable[str]) -> list[int]:
        """How often each row has one of some words."""
        forms = {term_of(word) for word in words} - {""}
        return [max((terms.get(form, 0) for form in forms), default=0) for terms in self.terms]

    def lacking(self, item_id: str) -> list[str]:
        """What the query insists on and a text does not have."""
        row = [text.id for text in self.texts].index(item_id)
        return [
            term.text
            for term in self.asked()
            if term.insisted and not self.holds((*term.forms, *term.fallback, *term.accepted))[row]
        ]

    def idf(self, holds: Sequence[int]) -> float:
        df = sum(map(bool, holds))
        return math.log(1 + (len(self.texts) - df + 0.5) / (df + 0.5))

    def asked(self) -> list[QueryTerm]:
        """The query's terms that are in the index at all, each once."""
        distinct: dict[frozenset[str], QueryTerm] = {}
        for term in self.parsed.terms:
            forms = frozenset(map(term_of, term.forms)) - {""}
            if forms:
                distinct.setdefault(forms, term)
        return list(distinct.values())

    def whole(self, term: QueryTerm) -> list[int] | None:
        """How often each row has a term, by its forms or else its fallback."""
        for words in (term.forms, term.fallback):
            if any(holds := self.holds(words)):
                return holds
        return None

    def parts(self, term: QueryTerm) -> list[list[int]]:
        return [self.holds((part,)) for part in term.parts if term_of(part)]

    def weighed(self) -> tuple[list[Weighed], bool]:
        """The terms, and whether no row has something that the query insists on."""
        weighed = []
        absent = False
        for term in self.asked():
            whole, parts = self.whole(term), self.parts(term)
            weight = term.doubt * self.idf([0]) if whole is None else self.idf(whole)
            if whole is None and parts:
                weight = max(map(self.idf, parts))
            exact = None
            if term.insisted:
                met = self.holds((*term.forms, *term.accepted))
                absent |= not any(met)
                if any(met) and not term.dated:
                    exact = met
            most = PART_SHARE if whole is not None else 1
            total = sum(map(self.idf, parts))
            shares = [(most * self.idf(part) / total, part) for part in parts]
            weighed.append(Weighed(weight, whole, shares, exact))
        return weighed, absent

    def share(self, weighed: Sequence[Weighed], rows: Sequence[int]) -> float:
        """Which share of the query's terms some rows hold together."""
        total = sum(term.weight for term in weighed) or 1
        share = 0.0
        for term in weighed:
            if term.whole is not None and any(term.whole[row] for row in rows):
                held = 1.0
            else:
                held = sum(part for part, holds in term.parts if any(holds[row] for row in rows))
            share += term.weight / total * held
        return share

    def exact(self, weighed: Sequence[Weighed], rows: Sequence[int]) -> float:
        """Which share of the numbers and codes insisted on some rows hold together."""
        insisted = [term for term in weighed if term.exact is not None]
        total = sum(term.weight for term in insisted)
        met = [term for term in insisted if term.exact and any(term.exact[r] for r in rows)]
        return sum(term.weight for term in met) / total if total else 0.0

    def decides(self, weighed: Sequence[Weighed], row: int) -> float:
        """The same of one row, where what many rows hold counts less."""
        insisted = [term for term in weighed if term.exact is not None]
        total = sum(term.weight for term in insisted)
        decides = 0.0
        for term in insisted:
            assert term.exact is not None
            if term.exact[row]:
                few = FEW / max(FEW, sum(map(bool, term.exact)))
                decides += term.weight / total * few * few
        return decides

    def bm25(self) -> list[float]:
        lengths = [length_of(features) for features in self.features]
        average = sum(lengths) / len(lengths) if lengths else 0
        counted: dict[tuple[str, ...], list[int]] = {}
        for term in self.asked():
            words = term.forms if any(self.holds(term.forms)) else term.fallback
            for some in (words, *((part,) for part in term.parts)):
                forms = tuple(sorted({term_of(word) for word in some} - {""}))
                counted[forms] = self.holds(some)
        bm25 = [0.0] * len(self.texts)
        for holds in counted.values():
            for row, times in enumerate(holds):
                if times:
                    share = lengths[row] / average if average else 0
                    longer = 1 - WEIGHTS.b + WEIGHTS.b * share
                    idf = self.idf(holds)
                    bm25[row] += idf * times * (WEIGHTS.k1 + 1) / (times + WEIGHTS.k1 * longer)
        return bm25

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
            return [0.0] * len(self.texts), near
        width = max(max(known) - min(known), self.certain - self.floor)
        scaled = [None if v is None else 1 - (max(known) - v) / width for v in near]
        return [dot(vector, asked) for vector in own], scaled

    def named_speaker(self) -> tuple[str, ...] | None:
        named = {f.speaker for f in self.features if set(f.speaker) & set(self.parsed.words)}
        return named.pop() if len(named) == 1 else None

    def shown(self, words: float, cosine: float) -> float:
        """What words and vector show together."""
        return words + ENOUGH * max(0, cosine - self.floor) / (self.certain - self.floor)

"""Ranking equals a brute-force reference, whatever was done to the segments before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from service.search.hashed_query import hash_query
from service.search.ranking import Ranking
from service.search.scope import Scope
from service.search.scorer import SegmentScorer
from service.search.segment import ALWAYS, ItemKind, Segment
from tests.search.compare import assert_same, search
from tests.search.reference import CALIBRATION, HASHER, Text

pytestmark = pytest.mark.slow

DIMENSION = 3
EVERYTHING = ItemKind.MEMORY | ItemKind.CHUNK

vectors = st.none() | st.tuples(*[st.integers(-3, 3)] * DIMENSION).filter(any)
words = st.sampled_from(
    [
        *("apple", "apples", "banana", "cherry", "the", "yesterday", "ann", "bob", "when", "Ann:"),
        *("2.1", "1.2", "2", "plug-in", "plugin", "ERR_40", "May", "Äpfel", "Apfel", "seit"),
    ]
)
sentences = st.builds(
    lambda parts, end: " ".join(parts) + end,
    st.lists(words, max_size=6) | st.lists(words, min_size=40, max_size=45),
    st.sampled_from(["", "?"]),
)
instants = st.integers(0, 5)
spans = st.lists(instants, max_size=6, unique=True).map(
    lambda times: tuple(zip(*[iter(sorted(times))] * 2, strict=False))
)
memories = st.builds(
    Text,
    id=st.integers(0, 12).map("mem_{}".format),
    text=sentences,
    vector=vectors,
    shown=st.just(ALWAYS) | spans,
)
groups = st.sampled_from(["doc_a", "doc_b", "doc_c"])
members = st.builds(
    Text,
    id=st.just(""),
    text=sentences,
    kind=st.just(ItemKind.CHUNK),
    group=groups,
    position=st.integers(0, 9),
    speaker=st.sampled_from(["", "Ann", "Bob", "Ann Lee"]),
    vector=vectors,
).map(lambda text: replace(text, id=f"{text.group}/{text.position}"))
limits = st.sampled_from([1, 3, 10, 100])


def distinct(texts: Iterable[Text]) -> list[Text]:
    return list({text.id: text for text in texts}.values())


class Changes(RuleBasedStateMachine):
    """Any changes, in any order, with searches in between."""

    def __init__(self) -> None:
        super().__init__()
        # Compacting and merging happen among few rows, as they otherwise do among many.
        self.segment = Segment(DIMENSION, CALIBRATION.neighbourhood, least_dead=3, least_tail=10)
        self.texts: dict[str, Text] = {}
        self.matching: set[str] = set()
        self.segment.keep_mask("filter", ())

    def put(self, texts: Sequence[Text]) -> None:
        self.segment.put([text.item for text in texts])
        self.texts.update((text.id, text) for text in texts)
        for owner in {text.owner for text in texts}:
            self.segment.patch_mask("filter", owner, owner in self.matching)

    @rule(texts=st.lists(memories | members, min_size=1, max_size=8))
    def add_or_replace(self, texts: list[Text]) -> None:
        self.put(distinct(texts))

    @rule(group=groups, texts=st.lists(members, max_size=8))
    def replace_group(self, group: str, texts: list[Text]) -> None:
        own = distinct(replace(text, group=group, id=f"{group}/{text.position}") for text in texts)
        for gone in [text.id for text in self.texts.values() if text.group == group]:
            del self.texts[gone]
        kept = {text.id for text in own}
        stale = [one for one in self.segment.ids_of_group(group) if one not in kept]
        self.segment.remove(stale)
        self.segment.put([text.item for text in own])
        self.texts.update((text.id, text) for text in own)
        self.segment.patch_mask("filter", group, group in self.matching)

    @rule(group=groups, text=members)
    def append(self, group: str, text: Text) -> None:
        last = max((t.position for t in self.texts.values() if t.group == group), default=-1)
        self.put([replace(text, group=group, position=last + 1, id=f"{group}/{last + 1}")])

    @precondition(lambda self: self.texts)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        gone = data.draw(st.lists(st.sampled_from(sorted(self.texts)), unique=True))
        self.segment.remove([*gone, "not there"])
        for item_id in gone:
            del self.texts[item_id]

    @rule(group=groups)
    def remove_group(self, group: str) -> None:
        self.segment.remove(self.segment.ids_of_group(group))
        self.texts = {i: text for i, text in self.texts.items() if text.group != group}

    @precondition(lambda self: any(not text.group for text in self.texts.values()))
    @rule(data=st.data(), shown=spans)
    def show(self, data: st.DataObject, shown: Any) -> None:
        candidates = sorted(text.id for text in self.texts.values() if not text.group)
        chosen = data.draw(st.sampled_from(candidates))
        self.put([replace(self.texts[chosen], shown=shown)])

    @precondition(lambda self: self.texts)
    @rule(data=st.data(), matches=st.booleans())
    def filter(self, data: st.DataObject, matches: bool) -> None:
        owner = data.draw(st.sampled_from(sorted({text.owner for text in self.texts.values()})))
        self.segment.patch_mask("filter", owner, matches)
        (self.matching.add if matches else self.matching.discard)(owner)

    @rule(
        query=sentences,
        vector=vectors,
        limit=limits,
        kinds=st.sampled_from([EVERYTHING, ItemKind.MEMORY, ItemKind.CHUNK]),
        at=instants,
        filtered=st.booleans(),
    )
    def search(
        self, query: str, vector: Any, limit: int, kinds: ItemKind, at: int, filtered: bool
    ) -> None:
        eligible = [
            text
            for text in self.texts.values()
            if text.kind & kinds
            and text.is_shown(at)
            and (not filtered or text.owner in self.matching)
        ]
        mask = self.segment.mask("filter") if filtered else None
        scope = Scope(self.segment, self.segment.eligible(kinds, at, mask))
        assert_same(search([scope], query, vector, limit), eligible, query, vector, limit)

    @rule()
    def count(self) -> None:
        assert len(self.segment) == len(self.texts)
        assert self.segment.groups() == {t.group for t in self.texts.values()} - {""}


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=40, stateful_step_count=25)


@settings(max_examples=100)
@given(
    texts=st.lists(memories | members, max_size=25),
    split=st.lists(st.integers(0, 2), min_size=25, max_size=25),
    shared=groups,
    query=sentences,
    vector=vectors,
    limit=limits,
)
def test_several_segments_are_one_corpus(
    texts: list[Text], split: list[int], shared: str, query: str, vector: Any, limit: int
) -> None:
    """Whatever lies where, and though one document lies in all of them."""
    chosen = distinct(texts)
    place = {text.owner: number for text, number in zip(chosen, split, strict=False)}
    segments = [Segment(DIMENSION, CALIBRATION.neighbourhood) for _ in range(3)]
    for number, part in enumerate(segments):
        part.put([t.item for t in chosen if place[t.owner] == number or t.group == shared])
    scopes = [Scope(part, part.eligible(EVERYTHING, at=2)) for part in segments]
    eligible = [text for text in chosen if text.is_shown(2)]
    assert_same(search(scopes, query, vector, limit), eligible, query, vector, limit)


@settings(max_examples=150)
@given(
    texts=st.lists(memories | members, max_size=25),
    split=st.lists(st.integers(0, 5), min_size=25, max_size=25),
    query=sentences,
    vector=vectors,
    limit=limits,
)
def test_items_that_are_ranked_block_by_block_are_one_corpus(
    texts: list[Text], split: list[int], query: str, vector: Any, limit: int
) -> None:
    """However they are split, as long as a document is whole; no block outlives its turn."""
    chosen = distinct(texts)
    place = {text.owner: number for text, number in zip(chosen, split, strict=False)}
    asked = hash_query(query, HASHER)
    ranking = Ranking(asked if vector is None else asked.near(vector), CALIBRATION, limit)
    for turn in (ranking.count, ranking.measure, ranking.collect, ranking.settle):
        for number in sorted(set(place.values())):
            block = Segment(DIMENSION, CALIBRATION.neighbourhood)
            block.put([text.item for text in chosen if place[text.owner] == number])
            turn([SegmentScorer(block, block.eligible(EVERYTHING, at=2), number)])
    eligible = [text for text in chosen if text.is_shown(2)]
    assert ranking.items == len(eligible)
    hits = ranking.hits()
    assert_same(hits, eligible, query, vector, limit)
    owners = {text.id: text.owner for text in chosen}
    assert all(hit.segment == place[owners[hit.id]] for hit in hits)

"""What search promises of its results, by example."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from service.search.hashed_query import hash_query, text_to_embed
from service.search.ranking import Hit
from service.search.scope import Scope
from service.search.segment import ItemKind, Segment
from service.search.weights import CLOSE_CALL, CLOSE_MARGIN, WEIGHTS
from tests.search.compare import assert_same, search
from tests.search.reference import CALIBRATION, HASHER, Text

EVERYTHING = ItemKind.MEMORY | ItemKind.CHUNK


def holding(*texts: Text, dimension: int = 2) -> Segment:
    segment = Segment(dimension, CALIBRATION.neighbourhood)
    segment.put([text.item for text in texts])
    return segment


def scope(segment: Segment, at: int = 0) -> Scope:
    return Scope(segment, segment.eligible(EVERYTHING, at))


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def test_equals_are_ordered_by_id() -> None:
    texts = [Text(f"mem_{i}", f"the cat {'abcdefgh'[i]}", vector=(1, 0)) for i in range(8)]
    segment = holding(*texts[5:], *texts[:5])
    assert ids(search([scope(segment)], "cat", (1, 0), 5)) == [t.id for t in texts[:5]]


def test_the_same_text_is_found_once() -> None:
    segment = holding(*[Text(f"mem_{i}", "the cat", vector=(1, 0)) for i in range(50)])
    segment.put([Text("mem_x", "a cat and a dog", vector=(1, 1)).item])
    assert sorted(ids(search([scope(segment)], "cat", (1, 0), 10))) == ["mem_0", "mem_x"]


def test_without_a_vector_only_words_find() -> None:
    segment = holding(Text("mem_1", "the cat"), Text("mem_2", "the dog"))
    assert ids(search([scope(segment)], "cat", (1, 0), 10)) == ["mem_1"]
    assert ids(search([scope(segment)], "cats", None, 10)) == ["mem_1"]
    assert search([scope(segment)], "horse", None, 10) == []
    assert search([scope(segment)], "", None, 10) == []


def test_a_vector_finds_without_a_common_word() -> None:
    segment = holding(Text("mem_1", "kitten", vector=(1, 0)), Text("mem_2", "car", vector=(0, 1)))
    hits = search([scope(segment)], "cat", (0.9, 0.1), 10)
    assert ids(hits) == ["mem_1", "mem_2"]
    assert hits[0].score > 0.5 > hits[1].score
    assert hits[0].parts.cosine == pytest.approx(0.9939, abs=1e-3)


def test_a_query_unrelated_to_everything_scores_low() -> None:
    texts = [Text(f"mem_{i}", f"word{i} about cats", vector=(1, i / 100)) for i in range(20)]
    related = search([scope(holding(*texts))], "cats", (1, 0), 10)
    unrelated = search([scope(holding(*texts))], "steel prices", (0, -1), 10)
    assert related[0].score > 0.75
    assert unrelated[0].score < 0.1


def test_nothing_outside_the_mask_moves_a_score_inside_it() -> None:
    inside = [Text(f"mem_{i}", f"cat {i}", vector=(1, i)) for i in range(5)]
    alone = search([scope(holding(*inside))], "cat 3", (1, 2), 5)
    outside = [
        Text(f"mem_{i}", "cat " * (i - 99), vector=(-1, i), shown=((5, 9),))
        for i in range(100, 140)
    ]
    among = search([scope(holding(*outside, *inside))], "cat 3", (1, 2), 5)
    assert among == alone


def test_a_filter_that_matches_few_of_many_finds_them_all() -> None:
    numbers = np.random.default_rng(1).normal(size=(10_000, 2))
    texts = [
        Text(f"mem_{i}", f"word{i % 97} note{i}", vector=(float(x), float(y)))
        for i, (x, y) in enumerate(numbers)
    ]
    segment = holding(*texts)
    chosen = [texts[i] for i in (17, 4_000, 9_999)]
    mask = segment.keep_mask("filter", [text.id for text in chosen])
    narrow = Scope(segment, segment.eligible(EVERYTHING, 0, mask))
    hits = search([narrow], "word3", (1, 1), 10)
    assert set(ids(hits)) == {text.id for text in chosen}
    assert_same(hits, chosen, "word3", (1, 1), 10)


def test_neighbours_lend_their_words_inside_their_document_only() -> None:
    texts = ["We adopted a rabbit.", "He is white.", "Lovely!"]
    segment = holding(
        *(Text(f"a/{i}", text, ItemKind.CHUNK, "a", i) for i, text in enumerate(texts)),
        Text("mem_1", "He is white indeed."),
        Text("b/0", "Something else.", ItemKind.CHUNK, "b", 0),
    )
    hits = search([scope(segment)], "rabbit", None, 10)
    assert ids(hits) == ["a/0", "a/1", "a/2"]
    assert hits[1].parts.bm25 == 0
    assert hits[1].parts.lexical == pytest.approx(0.4 * (1 - 3.5 / 125))


def test_an_answer_goes_before_the_question_that_repeats_the_query() -> None:
    texts = ["What did you paint?", "A lake at sunrise, last year!", "Nice."]
    segment = holding(*(Text(f"a/{i}", t, ItemKind.CHUNK, "a", i) for i, t in enumerate(texts)))
    question, answer, _ = sorted(search([scope(segment)], "paint", None, 10), key=lambda h: h.id)
    assert answer.parts.reply == pytest.approx(WEIGHTS.reply)
    assert question.parts.question == pytest.approx(-0.1)
    assert question.parts.reply == 0


def test_the_speaker_a_query_names_goes_first_unless_it_names_two() -> None:
    segment = holding(
        Text("mem_a", "Ann: my holiday was long"), Text("mem_b", "Bob: my holiday was long")
    )
    assert ids(search([scope(segment)], "Bob's holiday", None, 10)) == ["mem_b", "mem_a"]
    both = search([scope(segment)], "did Ann and Bob share a holiday", None, 10)
    assert [hit.parts.speaker for hit in both] == [0, 0]


def test_a_speaker_of_nothing_eligible_counts_for_nobody() -> None:
    segment = holding(
        Text("mem_a", "Ann Lee: a holiday"), Text("mem_b", "Ann Day: a holiday", shown=((5, 6),))
    )
    assert search([scope(segment, 0)], "Ann holiday", None, 1)[0].parts.speaker > 0
    assert search([scope(segment, 5)], "Ann holiday", None, 1)[0].parts.speaker == 0


def test_names_of_speakers_are_not_embedded() -> None:
    scopes = [
        scope(holding(Text("mem_a", "Ann Lee: my dog"))),
        scope(holding(Text("mem_b", "Bob: my dog", shown=((5, 6),)))),
    ]

    def said(text: str) -> str:
        return text_to_embed(hash_query(text, HASHER), scopes)

    assert said("Where is Ann's dog, Bob?") == "Where is dog, Bob?"
    assert said("Ann Lee?") == "Ann Lee?"
    assert said("Where is the dog?") == "Where is the dog?"


def test_a_vector_of_zeros_is_none() -> None:
    assert hash_query("cat", HASHER).near([0.0, 0.0]).vector is None


def test_nothing_is_found_in_nothing() -> None:
    assert search([], "cat", (1, 0), 10) == []
    assert search([scope(holding())], "cat", (1, 0), 10) == []
    assert search([scope(holding(Text("mem_1", "cat")))], "cat", None, 0) == []


def test_texts_that_are_nothing_but_stop_words_are_found_by_them() -> None:
    texts = [Text("mem_1", "who", vector=(1, 0)), Text("mem_2", "the", vector=(0, 1))]
    hits = search([scope(holding(*texts))], "who", (1, 0), 10)
    assert ids(hits)[0] == "mem_1"
    assert_same(hits, texts, "who", (1, 0), 10)


def test_the_parts_add_up_to_the_order() -> None:
    texts = [
        *(Text(f"a/{i}", f"cat {i}?", ItemKind.CHUNK, "a", i, "Ann", (1, i)) for i in range(6)),
        *(Text(f"mem_{i}", f"Bob: cats of {i} in May", vector=(i, 1)) for i in range(6)),
    ]
    hits = search([scope(holding(*texts))], "when did Ann see cat 3", (1, 3), 12)
    totals = [
        h.parts.lexical + h.parts.semantic + h.parts.coverage + h.parts.reply + h.parts.exact
        + h.parts.speaker + h.parts.substance + h.parts.question + h.parts.time + h.parts.document
        for h in hits
    ]  # fmt: skip
    assert totals == sorted(totals, reverse=True)
    margin = 1 - CLOSE_CALL * math.exp((totals[1] - totals[0]) / CLOSE_MARGIN)
    score = 1.0
    for hit, total in zip(hits, totals, strict=True):
        score = min(score, hit.parts.confidence * total / totals[0] * margin)
        assert hit.score == pytest.approx(score, abs=1e-5)


def test_a_memory_goes_before_a_chunk_of_its_text_in_another_segment() -> None:
    told = "The kettle whistles at 96 degrees."
    memories = holding(Text("mem_1", told))
    chunks = holding(
        Text("a/0", told, ItemKind.CHUNK, "a", 0),
        Text("a/1", "The kettle is red.", ItemKind.CHUNK, "a", 1),
    )
    scopes = [scope(memories), scope(chunks)]
    for limit in (1, 5):
        best = search(scopes, "kettle whistles", None, limit)[0]
        assert (best.id, best.kind, best.sharing) == ("mem_1", ItemKind.MEMORY, 2)

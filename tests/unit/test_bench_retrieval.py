"""The retrieval benchmark: how it counts, and that its engine finds what is there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.bench.collections import Collection, Document, Passage, Question, read_judged
from tests.bench.engines import Engine, Found, Mode, PlainBm25
from tests.bench.inprocess_engine import InProcess
from tests.bench.outcomes import area_under_curve, ask

HARBOUR = ("The ferry to the island leaves at noon.", "The lighthouse was painted red.")


class Fixed:
    """An engine that finds the same passages for every question."""

    def __init__(self, *keys: str) -> None:
        self._found = [Found(key, 1 - 0.1 * place) for place, key in enumerate(keys)]

    async def index(self, collection: Collection, mode: Mode) -> None:
        raise AssertionError("nothing is indexed")

    async def search(self, collection: str, question: str, limit: int) -> list[Found]:
        return self._found[:limit]

    async def close(self) -> None:
        self._found.clear()


async def test_an_outcome_counts_what_was_found_and_how_early() -> None:
    question = Question("?", frozenset("ab"), 2, "one")
    outcome = await ask(Fixed("x", "a", *"pqrst", "b"), "any", question)
    assert outcome.recall == (0.5, 1.0, 1.0)
    assert outcome.hit is True
    assert outcome.reciprocal_rank == 0.5
    ideal = 1 + 1 / math.log2(3)
    assert outcome.gain == pytest.approx((1 / math.log2(3) + 1 / math.log2(9)) / ideal)
    assert outcome.top_score == 1
    assert outcome.top_right is False


async def test_an_outcome_without_hits_is_all_zero() -> None:
    outcome = await ask(Fixed(), "any", Question("?", frozenset("a"), 1, "one"))
    assert not any(outcome.recall)
    assert outcome.gain == outcome.reciprocal_rank == 0
    assert outcome.top_right is False


def test_the_area_under_the_curve_counts_pairs_in_order() -> None:
    assert area_under_curve([0.9, 0.8], [0.1, 0.2]) == 1
    assert area_under_curve([0.9, 0.1], [0.5]) == 0.5
    assert area_under_curve([0.5], [0.5]) == 0.5
    assert math.isnan(area_under_curve([], [0.5]))


def test_judged_collections_are_read_by_container(tmp_path: Path) -> None:
    def write(name: str, *lines: dict[str, str]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))

    write(
        "corpus.jsonl",
        {"id": "p1", "container": "de", "text": " ein Absatz"},
        {"id": "p2", "container": "en", "text": "a paragraph"},
    )
    write(
        "queries.jsonl",
        {"id": "q1", "container": "de", "category": "de", "text": "welcher?"},
        {"id": "q2", "container": "de", "category": "de", "text": "ohne Urteil?"},
    )
    (tmp_path / "qrels.tsv").write_text("q1\tp1\t1\nq2\tp1\t0\n")
    german, english = read_judged(tmp_path)
    assert german.documents == (Document("p1", (Passage("p1", "ein Absatz"),)),)
    assert german.questions == (Question("welcher?", frozenset(["p1"]), 1, "de"),)
    assert (english.name, english.questions) == ("en", ())


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("kind", ["this search", "plain BM25"])
async def test_engines_find_passages_by_their_keys(mode: Mode, kind: str) -> None:
    documents = tuple(Document(str(n), (Passage(str(n), text),)) for n, text in enumerate(HARBOUR))
    engine: Engine = InProcess("static") if kind == "this search" else PlainBm25()
    await engine.index(Collection("harbour", documents, ()), mode)
    found = await engine.search("harbour", "When does the ferry leave?", 2)
    assert found[0].key == "0"
    assert len({one.key for one in found}) == len(found)
    await engine.close()

"""Whatever was done before, a search equals the brute-force reference's."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.retrieval import searcher, segments
from service.storage import index_rows
from tests.finding.player import KEYS, Player

Step = tuple[str, dict[str, Any]]

WORDS = (
    *("quince", "quinces", "medlar", "walnut", "spring", "Ann", "Ben", "likes", "the"),
    *("when", "yesterday", "2019", "baking", "baked", "?", "who"),
)
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)
names = st.sampled_from(["one", "two", "three", "four"])
tag = st.sampled_from(["x", "y", "z"])
tags = st.lists(tag, min_size=1, max_size=3, unique=True)
keys = st.sampled_from(KEYS)
# Steps are two seconds apart, and each in the middle between two stamps: none expires
# between a stamp and its step.
lifetimes = st.sampled_from([0, 0, 4.5, 50.5])
numbers = st.integers(0, 20)
titles = st.sampled_from(["", "Larder", "Ann walnut"])
said = st.tuples(st.sampled_from(["", "Ann", "Ben Ann", "Eve"]), texts, st.sampled_from([0, 17000]))
searches = {
    "query": texts,
    "tags": tags,
    "key": st.sampled_from(["", *KEYS]),
    "negated": st.booleans(),
    "limit": st.sampled_from([1, 2, 5, 100]),
    "floor": st.sampled_from([0.0, 0.0, 0.3, 0.9]),
}


def step(name: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


look = st.one_of(
    step("search_documents", **searches),
    step(
        "search_memories",
        **searches,
        past=st.integers(0, 15),
        forgotten=st.booleans(),
        history=st.booleans(),
        chunks=st.booleans(),
    ),
)
change = st.one_of(
    step("put", name=names, tags=tags, text=texts, title=titles, key=keys),
    step("append", name=names, tags=tags, said=st.lists(said, min_size=1, max_size=3)),
    step("change", name=names, tags=tags, title=st.none() | titles, key=keys),
    step("delete", name=names),
    step("empty", tag=tag),
    *[step("remember", tag=tag, text=texts, key=keys, seconds=lifetimes) for _ in range(3)],
    step("revise", number=numbers, text=texts, key=keys),
    step("forget", number=numbers),
    step("restore", number=numbers),
    step("erase", number=numbers),
    step("pass_time", seconds=st.sampled_from([2, 10, 60]), sweep=st.booleans()),
)
some = st.tuples(st.lists(change, min_size=1, max_size=4), st.lists(look, min_size=1, max_size=2))
session = st.lists(some, min_size=3, max_size=7)
steps = st.lists(session, min_size=1, max_size=3).map(
    lambda sessions: [
        one
        for number, session in enumerate(sessions)
        for changes, looks in ([([], [("restart", {})])] if number else []) + session
        for one in (*changes, *looks)
    ]
)


def play(chosen: list[Step]) -> int:
    """The number of searches that were judged."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as directory:
        player = Player(Path(directory))
        asyncio.run(player.play(chosen))
        return player.searches


def quick(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@quick(14)
@given(steps)
def test_searches_equal_the_reference_whatever_was_done_before(chosen: list[Step]) -> None:
    play(chosen)


@quick(5)
@given(steps)
def test_so_they_do_where_indexes_are_loaded_anew_and_in_threads(chosen: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_rows, "MANY", 2)
        patch.setattr(segments, "SMALL", 0)
        patch.setattr(searcher, "INLINE_CHARACTERS", 0)
        play(chosen)

"""Steps for random writes, drawn so that things meet: few names, few words, few containers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from service.core.model import Status
from tests.finding.random_searches import KEYS, Which

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
items = st.tuples(names, tags, texts | st.lists(said, min_size=1, max_size=4))
# Few, so that a filter is asked again after something has changed.
WHICH = (
    Which(),
    Which("a"),
    Which("a"),
    Which("b", negated=True),
    Which(age=3),
    Which("a", age=-2),
)
phrase = st.lists(st.sampled_from(["quince", "likes", "the", "Ann"]), min_size=1, max_size=2)
none_or_phrase = st.just("") | phrase.map(" ".join)
phrases = st.just(("", "")) | st.tuples(none_or_phrase, none_or_phrase)
searches = {
    "query": texts,
    "tags": tags,
    "which": st.sampled_from(WHICH),
    "limit": st.sampled_from([1, 2, 5, 100]),
    "floor": st.sampled_from([0.0, 0.0, 0.3, 0.9]),
}
in_documents = {**searches, "phrases": phrases, "beside": st.integers(0, 2)}


def step(name: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


in_memories = step(
    "search_memories",
    **searches,
    phrases=phrases,
    past=st.integers(0, 15),
    forgotten=st.booleans(),
    history=st.booleans(),
    chunks=st.booleans(),
)
look = st.one_of(
    step("search_documents", **in_documents),
    in_memories,
    in_memories,
    step("profile", tag=tag, **{name: searches[name] for name in searches.keys() - {"tags"}}),
)
remember = step("remember", tag=tag, text=texts, key=keys, seconds=lifetimes, static=st.booleans())
change = st.one_of(
    step("put", name=names, tags=tags, text=texts, title=titles, key=keys),
    step("append", name=names, tags=tags, said=st.lists(said, min_size=1, max_size=3)),
    step("put_together", items=st.lists(items, min_size=1, max_size=3, unique_by=lambda i: i[0])),
    step(
        "change",
        name=names,
        tags=tags,
        text=st.none() | st.none() | texts,
        title=st.none() | titles,
        key=keys,
    ),
    step(
        "look_behind",
        name=names,
        stage=st.sampled_from([Status.EXTRACTING, Status.INDEXING]),
        text=texts,
        key=keys,
        look=st.fixed_dictionaries(in_documents),
        deleted=st.booleans(),
    ),
    step("delete", name=names),
    step("empty", tag=tag),
    remember,
    remember,
    step("revise", number=numbers, text=texts, key=keys),
    step("forget", number=numbers),
    step("restore", number=numbers),
    step(
        "forget_found",
        tag=tag,
        query=texts,
        floor=st.sampled_from([0.001, 0.3, 0.5]),
        phrases=phrases,
        preview=st.booleans(),
    ),
    step("restore_together", number=numbers),
    step("erase", number=numbers),
    step("pass_time", seconds=st.sampled_from([2, 10, 60]), sweep=st.booleans()),
)
some = st.tuples(st.lists(change, min_size=1, max_size=4), st.lists(look, min_size=1, max_size=2))
session = st.lists(some, min_size=3, max_size=7)


def in_a_row(begun: list[Step], sessions: list[Any]) -> list[Step]:
    """Memories to begin with, and then the sessions, the service started anew for each."""
    chosen = list(begun)
    for number, one in enumerate(sessions):
        chosen += [("restart", {})] if number else []
        for changes, looks in one:
            chosen += [*changes, *looks]
    return chosen


steps = st.builds(
    in_a_row,
    st.lists(remember, min_size=3, max_size=6),
    st.lists(session, min_size=1, max_size=3),
)

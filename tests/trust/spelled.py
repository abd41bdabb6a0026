"""Makes kinds of words that are stored in one spelling and looked for in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from tests.trust.kinds import SPELLED, Ask, Goals, Kind, Shelf

Pair = tuple[str, str]
"""As it is stored, and as it is typed."""

_SIZE = 20
_ABSENT = 10
_SHELVES = 12


def spelled(
    name: str,
    pairs: Callable[[Random], Sequence[Pair]],
    texts: Sequence[str],
    queries: Sequence[str] = ("{}",),
    goals: Goals = SPELLED,
) -> Kind:
    """A kind of words.

    Args:
        name: Of the kind.
        pairs: Makes spellings of different words, 30 or more.
        texts: What is stored, with {} where the word is.
        queries: How it is asked for.
        goals: To be reached.
    """

    def make(random: Random) -> Iterator[Shelf]:
        for _ in range(_SHELVES):
            found = list(pairs(random))
            random.shuffle(found)
            stored, absent = found[:_SIZE], found[_SIZE : _SIZE + _ABSENT]
            memories = [random.choice(texts).format(written) for written, _ in stored]
            asks = [
                Ask(random.choice(queries).format(typed), number)
                for number, (_, typed) in enumerate(stored)
            ]
            yield Shelf(memories, [*asks, *(Ask(typed, None) for _, typed in absent)])

    return Kind(name, goals, make)


def listed(words: str) -> Callable[[Random], Sequence[Pair]]:
    """Pairs written as "stored:typed", or "stored:typed|typed" with a choice, between spaces.

    An underscore stands for a space within a word.
    """
    pairs = [word.replace("_", " ").split(":") for word in words.split()]

    def choose(random: Random) -> Sequence[Pair]:
        return [(stored, random.choice(typed.split("|"))) for stored, typed in pairs]

    return choose


def both_ways(pairs: Callable[[Random], Sequence[Pair]]) -> Callable[[Random], Sequence[Pair]]:
    """Pairs of which half are turned round."""

    def choose(random: Random) -> Sequence[Pair]:
        return [
            (typed, stored) if random.random() < 0.5 else (stored, typed)
            for stored, typed in pairs(random)
        ]

    return choose


def changed(
    words: str, change: Callable[[Random, str], Pair]
) -> Callable[[Random], Sequence[Pair]]:
    """Pairs made from words between spaces."""
    return lambda random: [change(random, word) for word in words.split()]

"""Kinds of things that searches look for, and how often each must be found.

A kind makes any number of small libraries from a seed, each with what is asked of it. Its
rates are compared with goals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from tests.trust.library import Library, Stored, taken

SURE = 0.5
"""From this score on, a hit counts as an answer."""


DEPTH = 3
"""What is not among so many hits counts as not found."""


class Rate(Enum):
    """What is counted of a kind, as a share."""

    FIRST = "first"
    """Of queries that a text answers: it comes first."""

    FOUND = "found"
    """Of queries that a text answers: it scores `SURE` or more."""

    WRONG = "wrong"
    """Of queries that no text answers: the best one scores `SURE` or more."""

    FORGOTTEN = "forgotten"
    """Of all queries: forgetting by them would take a text that is not the answer."""

    @property
    def is_good(self) -> bool:
        """Whether more is better."""
        return self in (Rate.FIRST, Rate.FOUND)


Goals = Mapping[Rate, float]
"""At least (if the rate is good) or at most (if it is not) this share."""

EXACT: Goals = {Rate.FIRST: 0.99, Rate.FOUND: 0.95, Rate.WRONG: 0.01, Rate.FORGOTTEN: 0.0}
"""For numbers and codes, which are looked for as they are written."""

SPELLED: Goals = {Rate.FIRST: 0.9, Rate.FOUND: 0.9, Rate.WRONG: 0.05}
"""For words that are looked for in another spelling than the stored one."""


class Ask(NamedTuple):
    """A query."""

    query: str
    answer: int | None
    """The number of the one text that answers it; None if no text does."""


class Shelf(NamedTuple):
    """Texts, and what is asked of them."""

    stored: Sequence[Stored | str]
    asks: Sequence[Ask]


@dataclass(frozen=True, slots=True)
class Kind:
    """What searches look for, made from a seed."""

    name: str
    goals: Goals
    make: Callable[[Random], Iterable[Shelf]]
    """At least 200 queries that a text answers, and as many again that none does if the goals
    have a rate of these."""

    def shelves(self) -> Iterator[Shelf]:
        """Always the same."""
        yield from self.make(Random(self.name))

    def measure(self) -> Measured:
        """Search all there is."""
        return measured(self.shelves(), self.goals)


@dataclass(slots=True)
class Measured:
    """How often things happened, and could have."""

    happened: Counter[Rate] = field(default_factory=Counter)
    asked: Counter[Rate] = field(default_factory=Counter)
    failures: dict[Rate, list[str]] = field(default_factory=dict)

    def count(self, rate: Rate, *, happened: bool, ask: str) -> None:
        """Note one more query."""
        self.asked[rate] += 1
        self.happened[rate] += happened
        if happened is not rate.is_good:
            self.failures.setdefault(rate, []).append(ask)

    def share(self, rate: Rate) -> float:
        """How often it happened, 0..1; it could have at least once."""
        return self.happened[rate] / self.asked[rate]

    def misses(self, goals: Goals) -> list[str]:
        """The goals that are not reached, each with its first failures."""
        return [
            f"{rate.value} {self.share(rate):.3f}, goal {goal}: {self.failures[rate][:5]}"
            for rate, goal in goals.items()
            if not reached(rate, self.share(rate), goal)
        ]


def reached(rate: Rate, share: float, goal: float) -> bool:
    """Whether the share is as good as the goal, or better."""
    return share >= goal if rate.is_good else share <= goal


def measured(shelves: Iterable[Shelf], goals: Goals) -> Measured:
    """Search all there is, for the rates that have a goal."""
    total = Measured()
    for stored, asks in shelves:
        library = Library(stored)
        for query, answer in asks:
            hits = library.search(query, DEPTH, distinct=False)
            best = hits[0] if hits else None
            described = f"{query!r} of {len(stored)}"
            if best is not None:
                described += f", first {stored[best.number]!r} {best.score:.3f}"
            if answer is not None:
                described += f", right {stored[answer]!r}"
                score = next((hit.score for hit in hits if hit.number == answer), 0.0)
                total.count(
                    Rate.FIRST,
                    happened=best is not None and best.number == answer,
                    ask=described,
                )
                total.count(Rate.FOUND, happened=score >= SURE, ask=f"{described} {score:.3f}")
            else:
                total.count(
                    Rate.WRONG,
                    happened=best is not None and best.score >= SURE,
                    ask=described,
                )
            if Rate.FORGOTTEN in goals:
                wrong = taken(hits, SURE) - {answer}
                total.count(
                    Rate.FORGOTTEN, happened=bool(wrong), ask=f"{described}, takes {sorted(wrong)}"
                )
    return total

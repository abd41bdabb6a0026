"""Whether calls leave objects behind, judged by growth that does not end.

What a process holds depends on what it did before, on the machine and on its libraries'
caches, and so does how fast those fill. A cache fills and stops; a leak grows with every
round of equal work. The median of several rounds is deaf to single bursts, such as a
statement that is compiled for the first time.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median

WINDOW = 6
"""Rounds that are judged together."""

PER_CALL = 0.5
"""Objects of one kind that a call may leave, in the median: less than one each."""

BLOCKS = "blocks of memory"
"""The kind of what the garbage collector does not know: texts, numbers, messages."""


def census() -> Counter[str]:
    """How many objects of each type there are, and blocks of memory."""
    gc.collect()
    blocks = sys.getallocatedblocks()
    # The names are kept once, not with every count: else counting itself would leave them behind.
    counts = Counter(map(_type_name, gc.get_objects()))
    counts[BLOCKS] = blocks
    return counts


def _type_name(one: object) -> str:
    return sys.intern(f"{type(one).__module__}.{type(one).__qualname__}")


def tasks() -> Counter[str]:
    """How many tasks of each coroutine there are."""
    return Counter(_coroutine(task) for task in asyncio.all_tasks())


def _coroutine(task: asyncio.Task[object]) -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", type(coroutine).__qualname__)


def left_by_calls(rounds: Sequence[Counter[str]], calls: int) -> list[str]:
    """Kinds of objects of which rounds of so many calls each left more and more."""
    steps = _steps(rounds)
    grown = {kind: median(step[kind] for step in steps) for kind in set().union(*steps)}
    grown[BLOCKS] = slope([one[BLOCKS] for one in list(rounds)[-WINDOW:]])
    return [
        f"{kind}: {growth:+,.0f} in {calls:,} calls"
        for kind, growth in sorted(grown.items(), key=lambda item: -item[1])
        if growth >= PER_CALL * calls
    ]


def slope(levels: Sequence[int]) -> float:
    """Growth from one to the next by the estimator of Theil and Sen.

    For blocks, of which work under way holds now more, now fewer: what one round has too
    many the next lacks, which steps between them would count twice.
    """
    pairs = combinations(enumerate(levels), 2)
    return median((later - sooner) / (j - i) for (i, sooner), (j, later) in pairs)


def ever_more(rounds: Sequence[Counter[str]]) -> list[str]:
    """Kinds of which there were more after every single round."""
    steps = _steps(rounds)
    return sorted(kind for kind in set(steps[0]) if all(step[kind] > 0 for step in steps))


def _steps(rounds: Sequence[Counter[str]]) -> list[Counter[str]]:
    """What was added from each of the last rounds to the next."""
    assert len(rounds) >= WINDOW
    steps = []
    for before, after in pairwise(list(rounds)[-WINDOW:]):
        step = Counter(after)
        step.subtract(before)
        steps.append(step)
    return steps

"""What came of questions, and tables of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, nan
from statistics import mean

from tests.bench.collections import Collection, Question
from tests.bench.engines import Engine

DEPTH = 20
THRESHOLD = 0.5
COLUMNS = ("asked", "R@5", "R@10", "R@20", "hit@10", "MRR", "nDCG@10")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: shares of its evidence found, and how early."""

    category: str
    recall: tuple[float, float, float]
    """In the first 5, 10 and 20."""

    hit: bool
    """Any of it in the first 10."""

    reciprocal_rank: float
    gain: float
    """nDCG of the first 10; all evidence counts the same."""

    top_score: float
    top_right: bool
    """The best hit is of the evidence."""


async def ask(engine: Engine, collection: str, question: Question) -> Outcome:
    """Put a question to a collection."""
    found = await engine.search(collection, question.text, DEPTH)
    ranks = [rank for rank, item in enumerate(found) if item.key in question.evidence]
    at_5, at_10, at_20 = (sum(rank < k for rank in ranks) / question.expected for k in (5, 10, 20))
    ideal = _gain(range(min(10, question.expected)))
    return Outcome(
        category=question.category,
        recall=(at_5, at_10, at_20),
        hit=any(rank < 10 for rank in ranks),
        reciprocal_rank=1 / (1 + ranks[0]) if ranks else 0.0,
        gain=_gain([rank for rank in ranks if rank < 10]) / ideal,
        top_score=found[0].score if found else 0.0,
        top_right=ranks[:1] == [0],
    )


async def ask_all(engine: Engine, collections: Sequence[Collection]) -> list[Outcome]:
    """Each collection's questions, put to it."""
    return [await ask(engine, c.name, question) for c in collections for question in c.questions]


async def top_scores_elsewhere(engine: Engine, collections: Sequence[Collection]) -> list[float]:
    """The best score of every collection's questions put to each of the others."""
    scores = []
    for asked in collections:
        for other in collections:
            if other is not asked:
                for question in other.questions:
                    found = await engine.search(asked.name, question.text, 1)
                    scores.append(found[0].score if found else 0.0)
    return scores


def table(title: str, outcomes: Sequence[Outcome]) -> str:
    """A line for all, and one for each category."""
    lines = [title, f"  {'':14}" + "".join(f"{name:>8}" for name in COLUMNS)]
    categories = sorted({outcome.category for outcome in outcomes})
    for category in ("all", *categories) if len(categories) > 1 else ("all",):
        chosen = [o for o in outcomes if category in ("all", o.category)]
        shares = [mean(o.recall[i] for o in chosen) for i in range(3)]
        shares.append(mean(o.hit for o in chosen))
        lines.append(
            f"  {category:14}{len(chosen):8}"
            + "".join(f"{100 * share:8.1f}" for share in shares)
            + f"{mean(o.reciprocal_rank for o in chosen):8.3f}"
            + f"{100 * mean(o.gain for o in chosen):8.1f}"
        )
    return "\n".join(lines)


def separation(outcomes: Sequence[Outcome]) -> str:
    """Whether the score of the best hit tells right ones from wrong ones."""
    right = [outcome.top_score for outcome in outcomes if outcome.top_right]
    wrong = [outcome.top_score for outcome in outcomes if not outcome.top_right]
    return (
        f"  AUC of the best hit's score, {len(right)} right against {len(wrong)} wrong: "
        f"{area_under_curve(right, wrong):.3f}"
    )


def rates(related: Sequence[Outcome], elsewhere: Sequence[float]) -> str:
    """How many questions have a best score that says something was found."""
    own = mean(outcome.top_score >= THRESHOLD for outcome in related)
    other = mean(score >= THRESHOLD for score in elsewhere)
    return (
        f"  best score of {THRESHOLD} or more: {100 * own:.1f} % of related, "
        f"{100 * other:.1f} % of unrelated questions"
    )


def area_under_curve(high: Sequence[float], low: Sequence[float]) -> float:
    """How often one of the first is above one of the second; equal ones count half."""
    if not high or not low:
        return nan
    above = sum((h > w) + (h == w) / 2 for h in high for w in low)
    return above / (len(high) * len(low))


def _gain(ranks: Sequence[int]) -> float:
    return sum(1 / log2(2 + rank) for rank in ranks)

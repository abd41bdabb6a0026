"""`make bench-retrieval`: how well search finds what answers a question.

LoCoMo's conversations (a folder of its JSON files, which are not part of this
repository), as conversations and as isolated memories; and Django's manual, whose
headings are searched for among its passages, beside a plain BM25.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tests.bench.collections import Collection, Question, read_locomo, read_manual
from tests.bench.engines import Engine, Mode, PlainBm25, Service
from tests.harness import Server, running_server

MANUAL = "django==5.2.8"  # BSD licence
DEPTH = 20
THRESHOLD = 0.5
MOST_HEADINGS = 600
COLUMNS = ("asked", "R@5", "R@10", "R@20", "hit@10", "MRR")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: shares of its evidence found, and how early."""

    category: str
    recall: tuple[float, float, float]
    """In the first 5, 10 and 20."""

    hit: bool
    """Any of it in the first 10."""

    reciprocal_rank: float
    top_score: float


async def ask(engine: Engine, collection: str, question: Question) -> Outcome:
    found = await engine.search(collection, question.text, DEPTH)
    ranks = [rank for rank, item in enumerate(found) if item.key in question.evidence]
    at_5, at_10, at_20 = (sum(rank < k for rank in ranks) / question.expected for k in (5, 10, 20))
    return Outcome(
        category=question.category,
        recall=(at_5, at_10, at_20),
        hit=any(rank < 10 for rank in ranks),
        reciprocal_rank=1 / (1 + ranks[0]) if ranks else 0.0,
        top_score=found[0].score if found else 0.0,
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
        )
    return "\n".join(lines)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def measure_locomo(engine: Engine, folder: Path) -> None:
    conversations = read_locomo(folder)
    for mode in Mode:
        for conversation in conversations:
            await engine.index(conversation, mode)
        outcomes = await ask_all(engine, conversations)
        say(table(f"LoCoMo, {mode.value}", outcomes))
        related = [outcome.top_score >= THRESHOLD for outcome in outcomes]
        elsewhere = await top_scores_elsewhere(engine, conversations)
        unrelated = [score >= THRESHOLD for score in elsewhere]
        say(
            f"  best score of {THRESHOLD} or more: {100 * mean(related):.1f} % of related, "
            f"{100 * mean(unrelated):.1f} % of unrelated questions\n"
        )


def fetch_manual(folder: Path) -> Path:
    """Download the source distribution that has the manual."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-binary=:all:", f"--dest={folder}", MANUAL], check=True)
    return next(folder.glob("*.tar.gz"))


async def compare_on_manual(service: Engine, archive: Path) -> None:
    manual = read_manual(archive)
    questions = [q for q in manual.questions if q.category == "question"]
    headings = [q for q in manual.questions if q.category == "heading"]
    step = max(1, len(headings) // MOST_HEADINGS)
    asked = Collection(manual.name, manual.documents, (*questions, *headings[::step]))
    for title, engine in (("this search", service), ("plain BM25", PlainBm25())):
        await engine.index(asked, Mode.DOCUMENTS)
        say(table(f"{MANUAL}, its manual, {title}", await ask_all(engine, [asked])) + "\n")


async def measure(server: Server, locomo: Path | None, manual: Path | None) -> None:
    service = Service(server)
    try:
        if locomo:
            await measure_locomo(service, locomo)
        if manual:
            await compare_on_manual(service, manual)
    finally:
        await service.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--locomo", type=Path, help="a folder of LoCoMo's conversations")
    parser.add_argument("--manual", type=Path, help="Django's source distribution, if it is here")
    parser.add_argument("--no-manual", action="store_true", help="leave the manual out")
    parser.add_argument("--embedder", default="static", help="as in the settings")
    options = parser.parse_args()
    if options.locomo and not any(options.locomo.glob("*.json")):
        parser.error(f"{options.locomo} has no conversation: name the folder of the .json files")
    with tempfile.TemporaryDirectory() as folder:
        manual = options.manual
        if not manual and not options.no_manual:
            manual = fetch_manual(Path(folder))
        data = Path(folder) / "data"
        with running_server(data, "--embedder", options.embedder) as server:
            asyncio.run(measure(server, options.locomo, manual))


if __name__ == "__main__":
    main()

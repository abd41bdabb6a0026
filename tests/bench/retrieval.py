"""`make bench-retrieval`: how well search finds what answers a question.

The table has a section for each collection: LoCoMo (conversations, as conversations
and as isolated memories), XQuAD (paragraphs in seven languages), NPL (abstracts), and
Django's manual, whose headings are searched for among its passages. Next to each stands
a plain BM25 measured the same way, or what others have published. The collections' files
are not part of this repository; the manual is downloaded. Last comes trust, what
`make bench-trust` measures: whether a score of one half or more can be believed.

DATA is a folder with the folders `locomo` (LoCoMo's JSON files), `xquad` and `npl`
(`corpus.jsonl`, `queries.jsonl`, `qrels.tsv`), or one of LoCoMo's files alone.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import mean

from tests.bench import published
from tests.bench.collections import Collection, read_judged, read_locomo, read_manual
from tests.bench.engines import Engine, Mode, PlainBm25
from tests.bench.inprocess_engine import InProcess
from tests.bench.outcomes import ask_all, rates, separation, table, top_scores_elsewhere
from tests.bench.service_engine import Service
from tests.harness import running_server
from tests.trust import __main__ as trust

MANUAL = "django==5.2.8"  # BSD licence
MOST_HEADINGS = 600


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def measure_locomo(engine: Engine, folder: Path, _: Mode) -> None:
    conversations = read_locomo(folder)
    for mode in (Mode.DOCUMENTS, Mode.MEMORIES):
        for conversation in conversations:
            await engine.index(conversation, mode)
        outcomes = await ask_all(engine, conversations)
        say(table(f"LoCoMo, {mode.value}", outcomes))
        say(separation(outcomes))
        say(rates(outcomes, await top_scores_elsewhere(engine, conversations)) + "\n")
    say(published.LOCOMO + "\n")


async def measure_xquad(engine: Engine, folder: Path, mode: Mode) -> None:
    languages = read_judged(folder)
    for language in languages:
        await engine.index(language, mode)
    outcomes = await ask_all(engine, languages)
    say(table(f"XQuAD, {mode.value}", outcomes))
    means = [mean(o.gain for o in outcomes if o.category == c.name) for c in languages]
    say(f"  mean nDCG@10 of the {len(means)} languages: {100 * mean(means):.1f}")
    say(separation(outcomes) + "\n")
    say(published.XQUAD + "\n")


async def measure_npl(engine: Engine, folder: Path, mode: Mode) -> None:
    (abstracts,) = read_judged(folder)
    await compare(engine, f"NPL, {mode.value}", abstracts, mode)


async def measure_manual(engine: Engine, archive: Path, _: Mode) -> None:
    manual = read_manual(archive)
    questions = [q for q in manual.questions if q.category == "question"]
    headings = [q for q in manual.questions if q.category == "heading"]
    step = max(1, len(headings) // MOST_HEADINGS)
    asked = Collection(manual.name, manual.documents, (*questions, *headings[::step]))
    await compare(engine, f"{MANUAL}, its manual", asked, Mode.DOCUMENTS)


async def measure_trust(engine: Engine, _path: Path, _mode: Mode) -> None:
    say("Trust, with the default embedder and without a server")
    trust.main([])


async def compare(engine: Engine, title: str, collection: Collection, mode: Mode) -> None:
    """This search, and a plain BM25 next to it."""
    plain = PlainBm25()
    for name, one in (("this search", engine), ("plain BM25", plain)):
        await one.index(collection, mode)
        outcomes = await ask_all(one, [collection])
        say(table(f"{title}; {name}", outcomes))
        say(separation(outcomes) + "\n")
    await plain.close()


def fetch_manual(folder: Path) -> Path:
    """Download the source distribution that has the manual."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-binary=:all:", f"--dest={folder}", MANUAL], check=True)
    return next(folder.glob("*.tar.gz"))


MEASURES = {
    "locomo": measure_locomo,
    "xquad": measure_xquad,
    "npl": measure_npl,
    "manual": measure_manual,
    "trust": measure_trust,
}


async def measure(open_engine: Callable[[], Engine], data: dict[str, Path], mode: Mode) -> None:
    """The sections whose data are given.

    Args:
        open_engine: Called inside the event loop, to which a channel belongs.
        data: Where the data of each section are.
        mode: How isolated passages are stored.
    """
    engine = open_engine()
    try:
        for section, path in data.items():
            await MEASURES[section](engine, path, mode)
    finally:
        await engine.close()


def find_data(folder: Path) -> dict[str, Path]:
    """The folder of each collection that is there."""
    if any(folder.glob("*.json")):
        return {"locomo": folder}
    files = {"locomo": "*.json", "xquad": "qrels.tsv", "npl": "qrels.tsv"}
    return {name: folder / name for name, file in files.items() if any((folder / name).glob(file))}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.retrieval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sections", nargs="*", choices=[*MEASURES, []], help="only these; else all whose data exist"
    )
    parser.add_argument("--data", type=Path, help="the collections' folder; see above")
    parser.add_argument("--manual", type=Path, help="Django's source distribution, if it is here")
    parser.add_argument("--no-manual", action="store_true", help="leave the manual out")
    parser.add_argument("--embedder", default="static", help="as in the settings")
    parser.add_argument(
        "--in-process", action="store_true", help="call the search directly, without a server"
    )
    parser.add_argument(
        "--texts",
        action="store_true",
        help="XQuAD and NPL as documents, divided into chunks, instead of memories",
    )
    options = parser.parse_args(arguments)
    data = find_data(options.data) if options.data else {}
    if options.data and not data:
        parser.error(f"{options.data} has no collection: name the folder of locomo, xquad and npl")
    data["trust"] = Path()  # its texts are made by code
    wanted = options.sections or [s for s in MEASURES if s in data or s == "manual"]
    if options.no_manual:
        wanted = [section for section in wanted if section != "manual"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="palimpsest-bench-")))
        if "manual" in wanted:
            data["manual"] = options.manual or fetch_manual(folder)
        missing = [section for section in wanted if section not in data]
        if missing:
            parser.error(f"there are no data of {', '.join(missing)}: name their folder")
        open_engine: Callable[[], Engine] = partial(InProcess, options.embedder)
        if not options.in_process:
            server = running_server(folder / "data", "--embedder", options.embedder)
            open_engine = partial(Service, stack.enter_context(server))
        mode = Mode.TEXTS if options.texts else Mode.MEMORIES
        asyncio.run(measure(open_engine, {section: data[section] for section in wanted}, mode))


if __name__ == "__main__":
    main(sys.argv[1:])

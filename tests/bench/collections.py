"""Texts with questions whose answers are known: LoCoMo's conversations, Django's manual,
and collections whose judgements are files of their own (XQuAD, NPL)."""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_MICROSECOND = 1_000_000
_TURN = re.compile(r"D\d+:\d+")
_DATE = re.compile(r"on (\d+ \w+, \d+)")
_ADVERSARIAL = 5
_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop"}

_SECTION = re.compile(r"^(\S.*)\n([=\-~^\"'#*])\2{2,}$", re.MULTILINE)
_PARTS_OF_MANUAL = ("faq", "howto", "intro", "misc", "ref", "topics")
_PASSAGE = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Passage:
    """What is indexed as one chunk or one memory."""

    key: str
    text: str
    speaker: str = ""
    instant: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    name: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    evidence: frozenset[str]
    """Keys of the passages that answer it."""

    expected: int
    """How many passages answer it, by those who made the question."""

    category: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents that are searched together, and questions about them."""

    name: str
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]


def read_locomo(folder: Path) -> list[Collection]:
    """The conversations of LoCoMo (arXiv:2402.17753), one JSON file each.

    Each session is a document, each turn a passage; questions made to have no answer,
    and those without evidence, are left out.
    """
    return [_conversation(path) for path in sorted(folder.glob("*.json"))]


def read_judged(folder: Path) -> list[Collection]:
    """The collections of a folder in BEIR's form, one for each container.

    `corpus.jsonl` and `queries.jsonl` have lines of `id`, `container`, `text` (queries also
    `category`); `qrels.tsv` has lines of query, passage and grade, of which those above 0
    count. Queries without a judgement are left out.
    """
    passages: dict[str, list[Document]] = defaultdict(list)
    for line in _lines(folder / "corpus.jsonl"):
        passage = Passage(line["id"], line["text"].strip())
        passages[line["container"]].append(Document(line["id"], (passage,)))
    evidence: dict[str, set[str]] = defaultdict(set)
    for row in (folder / "qrels.tsv").read_text("utf-8").splitlines():
        query, passage_id, grade = row.split("\t")
        if int(grade) > 0:
            evidence[query].add(passage_id)
    questions: dict[str, list[Question]] = defaultdict(list)
    for line in _lines(folder / "queries.jsonl"):
        keys = frozenset(evidence[line["id"]])
        if keys:
            question = Question(line["text"], keys, len(keys), line["category"])
            questions[line["container"]].append(question)
    return [
        Collection(name, tuple(documents), tuple(questions[name]))
        for name, documents in passages.items()
    ]


def read_manual(archive: Path) -> Collection:
    """The manual in Django's source distribution.

    Each file is a document, each section's paragraphs its passages, without headings. The
    questions are the headings that stand nowhere twice: those of its FAQ are real ones.
    """
    documents: list[Document] = []
    questions: list[Question] = []
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda m: m.name):
            name = member.name.partition("/docs/")[2]
            file = files.extractfile(member)
            if name.endswith(".txt") and name.split("/")[0] in _PARTS_OF_MANUAL and file:
                document, found = _chapter(name, file.read().decode())
                documents.append(document)
                questions += found
    times = Counter(question.text.lower() for question in questions)
    unique = tuple(q for q in questions if times[q.text.lower()] == 1)
    return Collection("manual", tuple(documents), unique)


def _lines(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _conversation(path: Path) -> Collection:
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    documents = []
    for number in range(1, sum(key.startswith("session_") for key in data) + 1):
        turns = data.get(f"session_{number}")
        if isinstance(turns, list):
            date = _DATE.search(data[f"session_{number}_date_time"])
            assert date
            day = datetime.strptime(date.group(1), "%d %B, %Y").replace(tzinfo=UTC)
            instant = int(day.timestamp()) * _MICROSECOND
            passages = tuple(
                Passage(turn["dia_id"], _said(turn), turn["speaker"], instant) for turn in turns
            )
            documents.append(Document(f"session-{number}", passages))
    keys = {passage.key for document in documents for passage in document.passages}
    questions = []
    for entry in data["qa"]:
        named = {turn for text in entry.get("evidence", ()) for turn in _TURN.findall(text)}
        if entry["category"] != _ADVERSARIAL and named & keys:
            category = _CATEGORIES[entry["category"]]
            questions.append(
                Question(entry["question"], frozenset(named & keys), len(named), category)
            )
    return Collection(path.stem, tuple(documents), tuple(questions))


def _said(turn: dict[str, str]) -> str:
    caption = turn.get("blip_caption")
    return turn["text"].strip() + (f" [image: {caption}]" if caption else "")


def _chapter(name: str, text: str) -> tuple[Document, list[Question]]:
    passages: list[Passage] = []
    questions = []
    headings = list(_SECTION.finditer(text))
    for number, heading in enumerate(headings):
        end = headings[number + 1].start() if number + 1 < len(headings) else len(text)
        first = len(passages)
        for passage in _paragraphs(text[heading.end() : end]):
            passages.append(Passage(f"{name}#{len(passages)}", passage))
        title = heading.group(1).replace("``", "").strip()
        keys = frozenset(passage.key for passage in passages[first:])
        if keys and len(title.split()) > 2:
            category = "question" if title.endswith("?") else "heading"
            questions.append(Question(title, keys, len(keys), category))
    return Document(name, tuple(passages)), questions


def _paragraphs(text: str) -> Iterator[str]:
    """Whole paragraphs, taken together up to the size of a passage."""
    taken = ""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if taken and len(taken) + len(paragraph) > _PASSAGE:
            yield taken
            taken = ""
        taken = f"{taken}\n\n{paragraph}" if taken else paragraph
    if taken:
        yield taken

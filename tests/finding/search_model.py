"""What a brute-force search would look at: everything that was written, and when it was shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from service.core.conversations import Message
from service.core.documents import heading_of
from service.core.times import FOREVER
from service.search.analysis import Features, analyse, embedding_text
from service.search.parsed_query import parse_query
from service.search.segment import ItemKind
from service.search.words import split_words, without_words
from tests.finding.words import WordsEmbedder
from tests.search.compare import CLOSE
from tests.search.reference import Reference, Text


@dataclass(frozen=True)
class Passage(Text):
    """A text with what stands above it and when it was said."""

    heading: str = ""
    instant: int | None = None

    @property
    def features(self) -> Features:
        return analyse(self.text, self.heading, self.speaker, self.instant)

    def embedded(self, embedder: WordsEmbedder) -> Passage:
        text = embedding_text(self.text, self.heading, self.speaker)
        return replace(self, vector=tuple(embedder.vector(text)))


@dataclass(frozen=True)
class Fitting:
    """What a filter lets through: some keys ("" is a document without one), and what was
    created from one instant on and before another."""

    keys: frozenset[str]
    since: int = 0
    until: int = FOREVER

    def fits(self, key: str, created: int) -> bool:
        return key in self.keys and self.since <= created < self.until


@dataclass
class Document:
    id: str
    containers: set[str]
    created: int
    text: str = ""
    title: str = ""
    key: str = ""
    messages: list[Message] = field(default_factory=list)

    def passages(self) -> Iterator[Passage]:
        if self.text:
            yield self._passage(0, self.text, heading=heading_of(self.title, ""))
        for place, message in enumerate(self.messages):
            yield self._passage(
                place, message.text.strip(), speaker=message.speaker, instant=message.instant
            )

    def _passage(self, place: int, text: str, **more: object) -> Passage:
        name = f"{self.id} {place:05}"
        return Passage(name, text, ItemKind.CHUNK, self.id, place, **more)  # type: ignore[arg-type]


@dataclass
class Span:
    """Shown from an instant, until `ended` or, before that, `expires`."""

    begun: int
    expires: int | None
    ended: int | None = None

    def shows(self, at: int) -> bool:
        ends = [end for end in (self.expires, self.ended) if end is not None]
        return self.begun <= at < min(ends, default=at + 1)


@dataclass
class Version:
    id: str
    text: str
    key: str
    spans: list[Span]
    superseded: int | None = None
    static: bool = False
    batch: str = ""
    """The batch that keeps it forgotten."""

    @property
    def created(self) -> int:
        return self.spans[0].begun

    def is_there(self, at: int, *, forgotten: bool, history: bool) -> bool:
        """Whether a search as of then finds it."""
        if at < self.created:
            return False
        if any(span.shows(at) for span in self.spans):
            return True
        if self.superseded is not None and self.superseded <= at:
            return history
        return forgotten


@dataclass
class Chain:
    container: str
    versions: list[Version]

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    @property
    def created(self) -> int:
        return self.versions[0].created

    def ids(self) -> set[str]:
        return {version.id for version in self.versions}


@dataclass
class SearchModel:
    documents: dict[str, Document] = field(default_factory=dict)
    chains: list[Chain] = field(default_factory=list)

    def chunks(self, containers: Sequence[str], fitting: Fitting) -> list[Passage]:
        return [
            passage
            for document in self.documents.values()
            if document.containers & set(containers)
            and fitting.fits(document.key, document.created)
            for passage in document.passages()
        ]

    def latest(self, container: str, fitting: Fitting, at: int) -> list[Version]:
        """The memories that are remembered, newest first."""
        found = [
            chain.latest
            for chain in self.chains
            if chain.container == container
            and fitting.fits(chain.latest.key, chain.created)
            and chain.latest.spans[-1].shows(at)
        ]
        return sorted(found, key=lambda version: -version.created)

    def memories(
        self,
        containers: Sequence[str],
        fitting: Fitting,
        at: int,
        *,
        forgotten: bool = False,
        history: bool = False,
    ) -> list[Passage]:
        return [
            Passage(version.id, version.text)
            for chain in self.chains
            if chain.container in containers
            for version in chain.versions
            if fitting.fits(version.key, chain.created)
            and version.is_there(at, forgotten=forgotten, history=history)
        ]


@dataclass(frozen=True)
class Asked:
    """What a search was for.

    Args:
        every: Whether a text is to be found as often as it is there.
        without: Texts that are not to be found, though they are eligible.
        insist: Whether only what lacks no number or code of the query is to be found.
        phrases: What a text must hold, and what it must not hold; "": anything, nothing.
        grouped: Whether the answer is in the order of documents, not of scores.
    """

    query: str
    limit: int
    floor: float
    every: bool = False
    without: frozenset[str] = frozenset()
    insist: bool = False
    phrases: tuple[str, str] = ("", "")
    grouped: bool = False

    def passes(self, text: str) -> bool:
        """Whether a text holds the one phrase, and not the other."""
        held, barred = self.phrases
        return holds(text, held) and not (barred and holds(text, barred))


def holds(text: str, phrase: str) -> bool:
    """Whether the words of a phrase stand in a text next to each other."""
    words, wanted = split_words(text), split_words(phrase)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) + 1))


def judge(
    found: Sequence[tuple[str, float]],
    eligible: Sequence[Passage],
    embedder: WordsEmbedder,
    asked: Asked,
) -> None:
    """The answer (names and scores) is the reference's, in order, up to ties."""
    query = asked.query
    texts = [passage.embedded(embedder) for passage in eligible]
    named = set(parse_query(query).words)
    speaking = named & {word for text in texts for word in text.features.speaker}
    rest = without_words(query, frozenset(speaking)) if speaking else query
    vector = embedder.vector(rest if split_words(rest) else query)
    reference = Reference(texts, query, vector)
    totals = reference.totals()
    said = {text.id: text.text for text in texts}
    shown: dict[str, str] = {}
    for name in sorted(totals, key=lambda name: -totals[name]):
        if asked.passes(said[name]):
            shown.setdefault(name if asked.every else said[name], name)
    all_ranks = [totals[name] for name in shown.values()]
    once = {said[name]: totals[name] for name in reversed(shown.values())}
    all_scores = reference.scores(
        list(shown.values()), all_ranks, sorted(once.values(), reverse=True)
    )
    wanted = [
        place
        for place, (text, name) in enumerate(shown.items())
        if text not in asked.without and not (asked.insist and reference.lacking(name))
    ]
    ranks = [all_ranks[place] for place in wanted][: asked.limit]
    scores = [all_scores[place] for place in wanted][: asked.limit]
    # What lies just at the threshold may be on either side of it.
    kept = [score for score in scores if score >= asked.floor + CLOSE]
    near = [score for score in scores if abs(score - asked.floor) < CLOSE]

    if asked.grouped:
        # Hits of equal scores may be of different ranks.
        found = sorted(found, key=lambda hit: (-hit[1], -totals.get(hit[0], 0.0)))
    names = [name for name, _ in found]
    assert set(names) <= totals.keys(), set(names) - totals.keys()
    assert asked.without.isdisjoint(said[name] for name in names)
    assert len({name if asked.every else said[name] for name in names}) == len(names)
    assert len(kept) <= len(names) <= len(kept) + len(near), (names, scores)
    assert [totals[name] for name in names] == pytest.approx(ranks[: len(names)], abs=CLOSE)
    assert [score for _, score in found] == pytest.approx(scores[: len(names)], abs=CLOSE)

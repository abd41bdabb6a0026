"""Everyday memories in many languages: what is related to a query, and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from tests.trust.kinds import Ask, Goals, Kind, Rate, Shelf

LANGUAGE: Goals = {Rate.FOUND: 0.85, Rate.WRONG: 0.05}
"""The languages differ in how well words are found; to none of them may everything be related."""

_MUSIC = (4, 15)
"""The piano and the trumpet are played in all languages."""

_SENTENCES = Path(__file__).with_name("languages.txt")
_ALONE = 4
"""So many queries about other things are put to each memory alone."""


@dataclass(frozen=True, slots=True)
class Language:
    """What is said in a language."""

    name: str
    script: str
    words: list[str] = field(default_factory=list)
    """Nouns that have to do with none of the memories."""

    memories: list[str] = field(default_factory=list)
    """Each about a subject of its own."""

    queries: list[str] = field(default_factory=list)
    """About the memory in the same place, as somebody would type them."""

    def shelves(self, random: Random) -> Iterator[Shelf]:
        """Queries to all memories; to all but their own; and to single others."""
        asks = [Ask(query, number) for number, query in enumerate(self.queries)]
        yield Shelf(self.memories, [*asks, *(Ask(word, None) for word in self.words)])
        for number, query in enumerate(self.queries):
            strangers = [i for i in range(len(self.queries)) if i not in _same_subject(number)]
            yield Shelf([self.memories[i] for i in strangers], [Ask(query, None)])
            strange = [self.queries[i] for i in strangers]
            asked = [*random.sample(strange, _ALONE), random.choice(self.words)]
            yield Shelf([self.memories[number]], [Ask(query, None) for query in asked])


def _same_subject(number: int) -> tuple[int, ...]:
    return _MUSIC if number in _MUSIC else (number,)


@cache
def languages() -> Sequence[Language]:
    """All of them."""
    found: list[Language] = []
    for line in _SENTENCES.read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            name, script = line[2:].split(", ")
            found.append(Language(name, script))
        elif line.startswith("- "):
            found[-1].words.extend(line[2:].split(", "))
        elif " | " in line:
            memory, query = line.split(" | ")
            found[-1].memories.append(memory)
            found[-1].queries.append(query)
    return found


def _abroad(random: Random) -> Iterator[Shelf]:
    """Memories of one language, and words of others that have to do with none of them."""
    for language in languages():
        others = [other for other in languages() if other.script != language.script]
        asked = [random.choice(other.words) for other in random.sample(others, 8)]
        yield Shelf(language.memories, [Ask(word, None) for word in asked])


ABROAD = Kind("words of another script", {Rate.WRONG: 0.05}, _abroad)

LANGUAGES = tuple(Kind(language.name, LANGUAGE, language.shelves) for language in languages())

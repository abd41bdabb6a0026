"""A query, prepared for ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.search.analysis import analyse_query
from service.search.entry import TermHasher
from service.search.scope import Scope, named_speakers
from service.search.speakers import Name
from service.search.words import split_words, without_words


@dataclass(frozen=True, slots=True)
class Query:
    """What ranking compares items with."""

    text: str

    terms: tuple[int, ...]
    """Hashes of its distinct terms."""

    names: Mapping[int, str]
    """Its words by their hashes as words of a speaker's name."""

    asks_when: bool = False
    vector: npt.NDArray[np.float32] | None = None
    """(dimension,) of unit length; None: search by words alone."""

    def near(self, vector: npt.ArrayLike) -> Query:
        """The query with a vector, which is brought to unit length.

        A vector of zeros says nothing and is left out.
        """
        raw = np.asarray(vector, np.float32)
        norm = float(np.linalg.norm(raw))
        return replace(self, vector=raw / np.float32(norm) if norm > 0 else None)


def make_query(text: str, hasher: TermHasher) -> Query:
    """Analyse a query."""
    question = analyse_query(text)
    return Query(
        text=text,
        terms=tuple(dict.fromkeys(map(hasher.terms.__getitem__, question.words))),
        names={hasher.name(word): word for word in question.words},
        asks_when=question.asks_when,
    )


def text_to_embed(query: Query, scopes: Sequence[Scope]) -> str:
    """The text to embed where these scopes are searched; see `without_speakers`."""
    return without_speakers(query, named_speakers(scopes, query.names))


def without_speakers(query: Query, named: Iterable[Name]) -> str:
    """The query without the names of speakers of what is searched.

    Items are embedded without their speaker's name (`embedding_text`); whether the query
    names an item's speaker is a part of the rank score of its own.

    Args:
        query: What is looked for.
        named: The speakers whose name has a word of the query.

    Returns:
        The text to embed: the query as it is if nothing would be left of it.
    """
    speaking = {word for name in named for word in name}
    names = frozenset(word for number, word in query.names.items() if number in speaking)
    rest = without_words(query.text, names) if names else query.text
    return rest if split_words(rest) else query.text

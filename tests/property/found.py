"""Judges what searches and profiles answer.

How well a text fits is the search's own affair. What may be found, that all of it is
found as far as limit and score let, and that no text is found twice, is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from palimpsest.v1 import memories_pb2 as pb
from tests.property.compare import CLOSE, FindingError, Names, check_same
from tests.property.model_memories import Version
from tests.property.tenant import Row

DEFAULT_HITS = 10
DEFAULT_PROFILE = 20
HEADINGS = 3
"""How many a profile's text has at most."""


def judge(request: Any, rows: Mapping[str, Row], answer: Any, names: Names) -> None:
    """Raises FindingError.

    Args:
        request: Of SearchMemories or GetProfile.
        rows: By the service's ids: what may be found.
        answer: The service's.
        names: What it calls things.
    """
    if isinstance(request, pb.GetProfileRequest):
        _profile(request, rows, answer, names)
    else:
        texts = {row.message.content for row in rows.values()}  # type: ignore[attr-defined]
        limit = request.limit or DEFAULT_HITS
        _hits(answer.hits, rows, texts, limit, request.min_score, names)


def judge_matches(
    remembered: Sequence[Version],
    scores: Mapping[str, float],
    best: Mapping[str, float],
    floor: float,
) -> None:
    """What a query matches: what a search finds, and all that is like it.

    Args:
        remembered: All that could match.
        scores: Of the matches, by id.
        best: Of the hits of a search for the same, each the best of its text.
        floor: The least score of a match.
    """
    matching = [version for version in remembered if version.id in scores]
    _require(len(matching) == len(scores), f"{set(scores)} match, not only of {remembered}")
    _require(min(scores.values(), default=1) >= floor, f"matches score {scores}")
    same = all(abs(scores.get(name, 0) - score) < CLOSE for name, score in best.items())
    _require(same, f"matches score {scores}, hits {best}")
    of_best = {version.content for version in remembered if version.id in best}
    _require({version.content for version in matching} == of_best, "other texts than a search")
    for one in matching:
        for other in remembered:
            # The date is searched as well.
            if (one.content, one.dates) == (other.content, other.dates):
                near = abs(scores.get(other.id, 0) - scores[one.id]) < CLOSE
                _require(near, f"of two memories of {one.content!r}, one matches better")


def _hits(
    hits: Sequence[pb.SearchHit],
    rows: Mapping[str, Row],
    texts: Iterable[str],
    limit: int,
    floor: float,
    names: Names,
) -> None:
    """Best first, each of another of the texts, and as many as there are."""
    _right((hit.memory for hit in hits), rows, names)
    scores = [hit.score for hit in hits]
    _require(scores == sorted(scores, reverse=True), f"not best first: {scores}")
    _require(all(max(floor, 0) <= score <= 1 for score in scores), f"scores of {scores}")
    found, wanted = [hit.memory.content for hit in hits], set(texts)
    _require(len(set(found)) == len(found), f"a text twice: {found}")
    _require(wanted.issuperset(found), f"found {found}, not only of {wanted}")
    if not floor:
        most = min(limit, len(wanted))
        _require(len(found) == most, f"found {found}, and not {most} of {wanted}")
    _require(len(found) <= limit, f"{len(found)} hits, asked for {limit}")


def _profile(
    request: pb.GetProfileRequest,
    rows: Mapping[str, Row],
    answer: pb.GetProfileResponse,
    names: Names,
) -> None:
    limit = request.limit or DEFAULT_PROFILE
    for shown, static in ((answer.static_memories, True), (answer.recent_memories, False)):
        _right(shown, rows, names)
        keys = sorted(
            row.key
            for row in rows.values()
            if row.message.is_static is static  # type: ignore[attr-defined]
        )
        _require(
            [rows[memory.id].key for memory in shown] == keys[:limit]
            and all(memory.is_static is static for memory in shown),
            f"not the {limit} newest: {[memory.content for memory in shown]}",
        )
    listed = [memory.content for memory in (*answer.static_memories, *answer.recent_memories)]
    if request.query:
        others = {row.message.content for row in rows.values()} - set(listed)  # type: ignore[attr-defined]
        _hits(answer.hits, rows, others, limit, request.min_score, names)
    else:
        _require(not answer.hits, "found what nobody asked for")
    _text(answer.text, [*listed, *(hit.memory.content for hit in answer.hits)])


def _text(text: str, contents: Sequence[str]) -> None:
    """A line for each, in their order, and nothing else but headings."""
    lines = [line for line in text.splitlines() if line]
    left = iter(lines)
    _require(
        all(any(line.endswith(content) for line in left) for content in contents)
        and len(lines) <= len(contents) + HEADINGS,
        f"the text is {lines}, and not of {contents}",
    )


def _right(shown: Iterable[pb.Memory], rows: Mapping[str, Row], names: Names) -> None:
    """Each may be there, is as it is to be, and is there once."""
    seen: set[str] = set()
    for memory in shown:
        allowed = memory.id in rows and memory.id not in seen
        _require(allowed, f"{memory.id} {memory.content!r} twice or wrongly")
        seen.add(memory.id)
        check_same(rows[memory.id].message, memory, names)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise FindingError(otherwise)

"""Profiles: the memories of a container that belong into a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from service.core import filters as f
from service.core.model import Memory, MemoryQuery, Order, PageRequest, Principal
from service.ports.search import MemoryHit, MemorySearch, Searcher
from service.ports.store import Memories


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """Which profile, and up to how many memories in each part. `query` "": no search."""

    container: str
    query: str = ""
    filter: f.Filter | None = None
    limit: int = 20
    min_score: float = 0.0
    must_contain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """Each memory occurs once; each part is ordered newest or best first."""

    static: Sequence[Memory]
    recent: Sequence[Memory]
    hits: Sequence[MemoryHit]
    text: str
    revision: int


_STATIC = f.Condition(f.Field.STATIC, f.EqualsBool(True))


async def read_profile(
    memories: Memories, searcher: Searcher, principal: Principal, wanted: ProfileQuery
) -> Profile:
    """Read a profile. Raises what listing and searching raise."""

    async def newest(kind: f.Filter) -> tuple[Sequence[Memory], int]:
        tree = kind if wanted.filter is None else f.AllOf((kind, wanted.filter))
        query = MemoryQuery((wanted.container,), tree, order=Order.UPDATED_DESC)
        page = await memories.list(principal, query, PageRequest(wanted.limit))
        return page.items, page.revision

    static, revision = await newest(_STATIC)
    recent, _ = await newest(f.Not(_STATIC))
    hits: Sequence[MemoryHit] = ()
    if wanted.query:
        shown = {memory.content for memory in (*static, *recent)}
        search = MemorySearch(
            wanted.query,
            (wanted.container,),
            wanted.filter,
            wanted.min_score,
            wanted.limit + len(shown),
            must_contain=wanted.must_contain,
        )
        found = await searcher.memories(principal, search)
        hits = [
            hit
            for hit in found.hits
            if isinstance(hit, MemoryHit) and hit.memory.content not in shown
        ][: wanted.limit]
    parts = _without_superseded(static, recent, hits)
    profile = Profile(*parts, "", revision)
    return replace(profile, text=_text(profile))


def _without_superseded(
    static: Sequence[Memory], recent: Sequence[Memory], hits: Sequence[MemoryHit]
) -> tuple[list[Memory], list[Memory], list[MemoryHit]]:
    """The parts, which are read one after another, less versions superseded in between."""
    versions: dict[str, int] = {}
    for memory in (*static, *recent, *(hit.memory for hit in hits)):
        versions[memory.root_id] = max(memory.version, versions.get(memory.root_id, 0))
    return (
        [memory for memory in static if memory.version == versions[memory.root_id]],
        [memory for memory in recent if memory.version == versions[memory.root_id]],
        [hit for hit in hits if hit.memory.version == versions[hit.memory.root_id]],
    )


def _text(profile: Profile) -> str:
    relevant = [hit.memory for hit in profile.hits]
    parts = (
        ("Lasting traits", profile.static),
        ("Recent memories", profile.recent),
        ("Relevant memories", relevant),
    )
    return "\n\n".join(f"{title}:\n{_lines(memories)}" for title, memories in parts if memories)


def _lines(memories: Iterable[Memory]) -> str:
    # A memory of several lines must not look like several memories.
    return "\n".join(f"- {' '.join(memory.content.split())}" for memory in memories)

"""/v4/profile: what a prompt should know of a container."""

from __future__ import annotations

from typing import Any, Final

from palimpsest.v1.memories_pb2 import GetProfileRequest, SearchMemoriesRequest
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import answers
from service.http.supermemory.bodies import Fields, read_body
from service.http.supermemory.errors import call
from service.http.supermemory.fields import read_container, read_threshold
from service.http.supermemory.filters import read_filter
from service.http.supermemory.search_v3 import Stopwatch, found
from service.http.supermemory.search_v4 import Include, search_memories, show

_SECTIONS: Final = ("static", "dynamic", "buckets")
_MEMORIES: Final = 100
"""Of each section."""


async def _profile(calls: Calls, request: HttpRequest) -> HttpAnswer:
    stopwatch = Stopwatch()
    fields = await read_body(request)
    tag = read_container(fields)
    condition = read_filter(fields)
    query = fields.text("q")
    threshold = read_threshold(fields)
    fields.texts("buckets")
    included = _sections(fields)
    fields.check()
    names = {"container_tag": "containerTag", "container_tags[0]": "containerTag"}
    profile: dict[str, Any] = {}
    if "static" in included or "dynamic" in included:
        message = GetProfileRequest(container_tag=tag, filter=condition, limit=_MEMORIES)
        response = await call(calls, "Memories.GetProfile", message, names)
        sections = {"static": response.static_memories, "dynamic": response.recent_memories}
        for name, memories in sections.items():
            if name in included:
                profile[name] = [memory.content for memory in memories]
    if "buckets" in included:
        profile["buckets"] = {}
    body: dict[str, Any] = {"profile": profile}
    if query:
        search = SearchMemoriesRequest(
            query=query,
            container_tags=[tag],
            filter=condition,
            min_score=threshold,
            include_chunks=True,
            include_documents=True,
        )
        hits = await search_memories(calls, search, names)
        shown = await show(calls, hits, as_memories=True, include=Include(Fields({})))
        body["searchResults"] = found(shown, stopwatch)
    return answers.answer(body)


def _sections(fields: Fields) -> tuple[str, ...]:
    given = fields.texts("include")
    if given is None:
        return _SECTIONS
    for index, name in enumerate(given):
        if name not in _SECTIONS:
            fields.refuse(f"include[{index}]", f"must be one of {', '.join(_SECTIONS)}")
    return tuple(given)


ENDPOINTS: Final = (Endpoint("POST", "/v4/profile", _profile, writes=False),)

"""Looks at what was played, with searches that the world measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Filter
from service.core.model import Status
from tests.client import struct
from tests.finding.lab import where
from tests.finding.player import Player
from tests.finding.world import Asked, Passage, judge

KEYS = ("a", "b")


class Looker(Player):
    """A player whose steps are also searches, and writes that depend on one."""

    async def search_documents(
        self,
        query: str,
        tags: list[str],
        key: str,
        negated: bool,
        limit: int,
        floor: float,
        beside: int,
    ) -> None:
        found = await self.lab.search(
            query,
            container_tags=tags,
            limit=limit,
            min_score=floor,
            filter=_filter(key, negated=negated),
            neighbors=beside,
        )
        hits = [chunk for hit in found for chunk in hit.chunks]
        named = [(f"{hit.chunk.document_id} {hit.chunk.position:05}", hit.score) for hit in hits]
        named.sort(key=lambda pair: -pair[1])
        eligible = self.world.chunks(tags, _keys(key, negated=negated))
        self._judge(named, eligible, Asked(query, limit, floor))
        for hit in hits:
            self._check_neighbours(hit, beside)

    def _check_neighbours(self, hit: d.ChunkHit, beside: int) -> None:
        """The texts right before it and right after it, nearest to it first."""
        (document,) = (
            document
            for document in self.world.documents.values()
            if document.id == hit.chunk.document_id
        )
        texts = [passage.text for passage in document.passages()]
        place = hit.chunk.position
        assert [chunk.text for chunk in hit.before] == texts[max(0, place - beside) : place]
        assert [chunk.text for chunk in hit.after] == texts[place + 1 : place + 1 + beside]

    async def search_memories(
        self,
        query: str,
        tags: list[str],
        key: str,
        negated: bool,
        limit: int,
        floor: float,
        past: int,
        forgotten: bool,
        history: bool,
        chunks: bool,
    ) -> None:
        then = self.stamps[-1 - past % len(self.stamps)] if past else None
        chunks = chunks and then is None
        hits = await self.lab.memories(
            query,
            container_tags=tags,
            limit=limit,
            min_score=floor,
            filter=_filter(key, negated=negated),
            as_of=then,
            include_forgotten=forgotten,
            include_history=history,
            include_chunks=chunks,
        )
        at = self.now if then is None else then.ToMicroseconds()
        keys = _keys(key, negated=negated)
        eligible = self.world.memories(tags, keys, at, forgotten=forgotten, history=history)
        if chunks:
            eligible += self.world.chunks(tags, keys)
        self._judge(_named(hits), eligible, Asked(query, limit, floor))

    async def profile(
        self, tag: str, query: str, key: str, negated: bool, limit: int, floor: float
    ) -> None:
        answer = await self.lab.client.memories.GetProfile(
            m.GetProfileRequest(
                container_tag=tag,
                query=query,
                filter=_filter(key, negated=negated),
                limit=limit,
                min_score=floor,
            )
        )
        keys = _keys(key, negated=negated)
        latest, shown = self.world.latest(tag, keys, self.now), set[str]()
        for part, static in ((answer.static_memories, True), (answer.recent_memories, False)):
            newest = [version for version in latest if version.static is static][:limit]
            assert [memory.id for memory in part] == [version.id for version in newest]
            shown |= {version.text for version in newest}
        eligible = self.world.memories([tag], keys, self.now)
        asked = Asked(query, limit, floor, without=frozenset(shown))
        self._judge(_named(answer.hits), eligible, asked)

    async def forget_found(self, tag: str, query: str, floor: float, preview: bool) -> None:
        answer = await self.lab.client.memories.ForgetMemories(
            m.ForgetMemoriesRequest(
                container_tag=tag,
                query=query,
                min_score=floor,
                max_forget=500,
                validate_only=preview,
            )
        )
        named = [(match.id, match.score) for match in answer.matches]
        eligible = self.world.memories([tag], ("", *KEYS), self.now)
        self._judge(named, eligible, Asked(query, len(eligible), floor, every=True))
        if preview or not named:
            return
        gone = {name for name, _ in named}
        self.batches.append((tag, answer.forget_batch_id, gone))
        for chain in self.world.chains:
            if chain.latest.id in gone:
                chain.latest.spans[-1].ended = self.soon
                chain.latest.batch = answer.forget_batch_id

    async def look_behind(
        self, name: str, stage: Status, text: str, key: str, look: dict[str, Any], deleted: bool
    ) -> None:
        """Rewrite a document and search while a worker holds it; then let it be DONE, or
        delete it, and nothing brings it back."""
        document, stages = self.world.documents.get(name), self.lab.stages
        if document is None or (text, key) == (document.text, document.key):
            return
        stages.hold(stage)
        request = d.UpdateDocumentRequest(id=name, content=text, metadata=struct({"k": key}))
        await self.lab.client.documents.UpdateDocument(request)
        await stages.reached()
        document.key = key
        await self.search_documents(**look)
        if deleted:
            await self.delete(name)
            await self.search_documents(**look)
        stages.let_go()
        await self.lab.idle()
        document.text, document.messages = text, []
        await self.search_documents(**look)

    def _judge(
        self, named: Sequence[tuple[str, float]], eligible: Sequence[Passage], asked: Asked
    ) -> None:
        self.searches += 1
        judge(named, eligible, self.embedder, asked)


def _named(hits: Iterable[m.SearchHit]) -> list[tuple[str, float]]:
    return [
        (hit.memory.id or f"{hit.chunk.document_id} {hit.chunk.position:05}", hit.score)
        for hit in hits
    ]


def _filter(key: str, *, negated: bool) -> Filter | None:
    if not key:
        return None
    return Filter(negated=where("k", key)) if negated else where("k", key)


def _keys(key: str, *, negated: bool) -> tuple[str, ...]:
    """The values that the filter lets through; "" is a document without one."""
    if not key:
        return ("", *KEYS)
    return tuple(other for other in ("", *KEYS) if (other == key) is not negated)

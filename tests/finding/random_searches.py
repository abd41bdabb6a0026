"""Looks at what was played, with searches that the model measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from palimpsest.v1.filter_pb2 import Condition, Filter, FilterField, FilterList
from palimpsest.v1.search_pb2 import ChunkHit
from service.core.model import Status
from tests.client import struct
from tests.finding.random_writes import RandomWrites
from tests.finding.search_model import Asked, Fitting, Passage, judge
from tests.finding.service_harness import where

KEYS = ("a", "b")
ANY = Fitting(frozenset(["", *KEYS]))


@dataclass(frozen=True)
class Which:
    """What a search is limited to: a key, or all others, and what is younger than so many
    steps, or older if the number is negative; "" and 0 for all."""

    key: str = ""
    negated: bool = False
    age: int = 0


class RandomSearches(RandomWrites):
    """Random writes whose steps are also searches, and writes that depend on one."""

    async def search_documents(
        self,
        query: str,
        tags: list[str],
        which: Which,
        limit: int,
        floor: float,
        phrases: tuple[str, str],
        beside: int,
    ) -> None:
        filter_, fitting = self._filter(which)
        found = await self.harness.search(
            query,
            container_tags=tags,
            limit=limit,
            min_score=floor,
            filter=filter_,
            neighbors=beside,
            **_insisting(phrases),
        )
        hits = [chunk for hit in found for chunk in hit.chunks]
        named = [(f"{hit.chunk.document_id} {hit.chunk.position:05}", hit.score) for hit in hits]
        eligible = self.model.chunks(tags, fitting)
        self._judge(named, eligible, Asked(query, limit, floor, phrases=phrases, grouped=True))
        for hit in hits:
            self._check_neighbours(hit, beside)

    def _check_neighbours(self, hit: ChunkHit, beside: int) -> None:
        """The texts right before it and right after it, nearest to it first."""
        (document,) = (
            document
            for document in self.model.documents.values()
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
        which: Which,
        limit: int,
        floor: float,
        phrases: tuple[str, str],
        past: int,
        forgotten: bool,
        history: bool,
        chunks: bool,
    ) -> None:
        then = self.stamps[-1 - past % len(self.stamps)] if past else None
        chunks = chunks and then is None
        filter_, fitting = self._filter(which)
        hits = await self.harness.memories(
            query,
            container_tags=tags,
            limit=limit,
            min_score=floor,
            filter=filter_,
            as_of=then,
            include_forgotten=forgotten,
            include_history=history,
            include_chunks=chunks,
            **_insisting(phrases),
        )
        at = self.now if then is None else then.ToMicroseconds()
        eligible = self.model.memories(tags, fitting, at, forgotten=forgotten, history=history)
        if chunks:
            eligible += self.model.chunks(tags, fitting)
        self._judge(_named(hits), eligible, Asked(query, limit, floor, phrases=phrases))

    async def profile(self, tag: str, query: str, which: Which, limit: int, floor: float) -> None:
        filter_, fitting = self._filter(which)
        answer = await self.harness.client.memories.GetProfile(
            m.GetProfileRequest(
                container_tag=tag,
                query=query,
                filter=filter_,
                limit=limit,
                min_score=floor,
            )
        )
        latest, shown = self.model.latest(tag, fitting, self.now), set[str]()
        for part, static in ((answer.static_memories, True), (answer.recent_memories, False)):
            newest = [version for version in latest if version.static is static][:limit]
            assert [memory.id for memory in part] == [version.id for version in newest]
            shown |= {version.text for version in newest}
        eligible = self.model.memories([tag], fitting, self.now)
        asked = Asked(query, limit, floor, without=frozenset(shown))
        self._judge(_named(answer.hits), eligible, asked)

    async def forget_found(
        self, tag: str, query: str, floor: float, phrases: tuple[str, str], preview: bool
    ) -> None:
        answer = await self.harness.client.memories.ForgetMemories(
            m.ForgetMemoriesRequest(
                container_tag=tag,
                query=query,
                min_score=floor,
                max_forget=500,
                validate_only=preview,
                **_insisting(phrases),
            )
        )
        named = [(match.id, match.score) for match in answer.matches]
        eligible = self.model.memories([tag], ANY, self.now)
        asked = Asked(query, len(eligible), floor, every=True, insist=True, phrases=phrases)
        self._judge(named, eligible, asked)
        if preview or not named:
            return
        gone = {name for name, _ in named}
        self.batches.append((tag, answer.forget_batch_id, gone))
        for chain in self.model.chains:
            if chain.latest.id in gone:
                chain.latest.spans[-1].ended = self.soon
                chain.latest.batch = answer.forget_batch_id

    async def look_behind(
        self, name: str, stage: Status, text: str, key: str, look: dict[str, Any], deleted: bool
    ) -> None:
        """Rewrite a document and search while a worker holds it; then let it be DONE, or
        delete it, and nothing brings it back."""
        document, stages = self.model.documents.get(name), self.harness.stages
        if document is None or (text, key) == (document.text, document.key):
            return
        stages.hold(stage)
        request = d.UpdateDocumentRequest(id=name, content=text, metadata=struct({"k": key}))
        await self.harness.client.documents.UpdateDocument(request)
        await stages.reached()
        document.key = key
        await self.search_documents(**look)
        if deleted:
            await self.delete(name)
            await self.search_documents(**look)
        stages.let_go()
        await self.harness.idle()
        document.text, document.messages = text, []
        await self.search_documents(**look)

    def _filter(self, which: Which) -> tuple[Filter | None, Fitting]:
        """The filter, and what it lets through."""
        conditions, fitting = [], ANY
        if which.key:
            of_key = where("k", which.key)
            conditions.append(Filter(negated=of_key) if which.negated else of_key)
            same = frozenset([which.key])
            fitting = replace(fitting, keys=ANY.keys - same if which.negated else same)
        if which.age:
            stamp = self.stamps[-1 - abs(which.age) % len(self.stamps)]
            limit = Condition(field=FilterField.FILTER_FIELD_CREATED)
            if which.age < 0:
                limit.before = stamp.ToJsonString()
                fitting = replace(fitting, until=stamp.ToMicroseconds())
            else:
                limit.at_or_after = stamp.ToJsonString()
                fitting = replace(fitting, since=stamp.ToMicroseconds())
            conditions.append(Filter(condition=limit))
        if not conditions:
            return None, fitting
        return Filter(all_of=FilterList(filters=conditions)), fitting

    def _judge(
        self, named: Sequence[tuple[str, float]], eligible: Sequence[Passage], asked: Asked
    ) -> None:
        self.searches += 1
        judge(named, eligible, self.embedder, asked)


def _insisting(phrases: tuple[str, str]) -> dict[str, Any]:
    """The fields of a request."""
    held, barred = ([phrase] if phrase else [] for phrase in phrases)
    return {"must_contain": held, "must_not_contain": barred}


def _named(hits: Iterable[m.SearchHit]) -> list[tuple[str, float]]:
    return [
        (hit.memory.id or f"{hit.chunk.document_id} {hit.chunk.position:05}", hit.score)
        for hit in hits
    ]

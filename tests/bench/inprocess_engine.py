"""The retrieval benchmark's engine that calls the search of the service directly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.core.conversations import Message, encode
from service.core.digests import Digester
from service.core.model import ContentKind
from service.embedding.base import InlineEmbedder, Purpose
from service.embedding.registry import open_embedder
from service.pipeline import encoder as encoding
from service.pipeline.chunking import ChunkingResult, chunk_documents
from service.ports.processing import ChunkRow, Job, Work
from service.search import probes
from service.search.entry import encode_vectors
from service.search.hashed_query import hash_query, text_to_embed
from service.search.ranking import rank
from service.search.scope import Scope
from service.search.segment import Item, ItemKind, Segment
from service.search.weights import TRANSFORMER, calibration
from tests.bench.collections import Collection, Passage
from tests.bench.engines import CHUNKS_OF_A_TEXT, Found, Mode, as_memory, once_each


@dataclass(slots=True)
class _Indexed:
    """A collection's segment, and the keys of its passages by item or group."""

    segment: Segment
    keys: dict[str, str] = field(default_factory=dict)


class InProcess:
    """The service's analysis, index and ranking in this process, without server and database.

    It finds what the service finds, in a fraction of the time: for work on the ranking.
    """

    def __init__(self, embedder: str) -> None:
        self._embedder = open_embedder(embedder)
        self._digester = Digester(bytes(32))
        inline = self._embedder if isinstance(self._embedder, InlineEmbedder) else None
        self._encoder = encoding.IndexEncoder(self._digester, 1, inline)
        self._calibration = calibration(self._embedder.name)
        self._calibrated = self._calibration is not TRANSFORMER
        self._indexed: dict[str, _Indexed] = {}

    async def index(self, collection: Collection, mode: Mode) -> None:
        await self._calibrate()
        segment = Segment(self._embedder.dimension, self._calibration.neighbourhood)
        indexed = self._indexed[collection.name] = _Indexed(segment)
        if mode is Mode.MEMORIES:
            passages = [p for document in collection.documents for p in document.passages]
            indexed.keys = {_name(number): p.key for number, p in enumerate(passages)}
            segment.put(await self._memories([as_memory(passage) for passage in passages]))
            return
        for number, document in enumerate(collection.documents):
            work = _work(document.passages, mode)
            rows = await self._chunks(work)
            group = _name(number)
            segment.put(
                [
                    Item(
                        f"{group}:{_name(row.position)}",
                        ItemKind.CHUNK,
                        row.index.entry,
                        row.digest,
                        row.index.vector,
                        group,
                        row.position,
                    )
                    for row in rows
                ]
            )
            for row in rows:
                passage = document.passages[0 if mode is Mode.TEXTS else row.position]
                indexed.keys[f"{group}:{_name(row.position)}"] = passage.key

    async def search(self, collection: str, question: str, limit: int) -> list[Found]:
        indexed = self._indexed[collection]
        segment = indexed.segment
        scope = Scope(segment, segment.eligible_now(ItemKind.MEMORY | ItemKind.CHUNK, 0))
        query = hash_query(question, self._encoder.hasher)
        text = text_to_embed(query, [scope])
        query = query.near((await self._embedder.embed([text], Purpose.QUERY))[0])
        hits = rank([scope], query, self._calibration, limit * CHUNKS_OF_A_TEXT)
        return once_each([Found(indexed.keys[hit.id], hit.score) for hit in hits], limit)

    async def close(self) -> None:
        await self._embedder.close()

    async def _calibrate(self) -> None:
        if not self._calibrated:
            questions = await self._embedder.embed(probes.QUESTIONS, Purpose.QUERY)
            statements = await self._embedder.embed(probes.STATEMENTS, Purpose.DOCUMENT)
            self._calibration = probes.calibrate(questions, statements)
            self._calibrated = True

    async def _memories(self, passages: Sequence[Passage]) -> list[Item]:
        texts = [encoding.Passage(passage.text, instant=passage.instant) for passage in passages]
        entries = self._encoder.entries(texts)
        vectors = await self._vectors(texts)
        return [
            Item(
                _name(number),
                ItemKind.MEMORY,
                entry,
                self._digester.content(text.text),
                vector,
            )
            for number, (text, entry, vector) in enumerate(
                zip(texts, entries, vectors, strict=True)
            )
        ]

    async def _chunks(self, work: Work) -> list[ChunkRow]:
        (result,) = chunk_documents(self._encoder, [work], 0)
        assert isinstance(result, ChunkingResult)
        if result.missing:
            vectors = await self._vectors([passage for _, passage in result.missing])
            result.add_vectors(iter(vectors), self._encoder.space)
        return result.changed

    async def _vectors(self, passages: Sequence[encoding.Passage]) -> list[bytes]:
        texts = [passage.embedded for passage in passages]
        return encode_vectors(await self._embedder.embed(texts, Purpose.DOCUMENT))


def _name(number: int) -> str:
    """Ids that sort as their numbers do: what was stored first goes first among equals."""
    return f"{number:06}"


def _work(passages: Sequence[Passage], mode: Mode) -> Work:
    if mode is Mode.TEXTS:
        (passage,) = passages
        kind, content = ContentKind.TEXT, passage.text
    else:
        kind = ContentKind.CONVERSATION
        content = encode(Message(p.speaker, p.text, p.instant) for p in passages)
    return Work(Job(0, "", 0, "", 0), kind, content, "", None, ())

"""Searches beside writes: an answer is never behind what others were told before.

All processes share one monotonic clock. A text is there for certain from the end of
the call that wrote it to the beginning of the one that ended it, and may be there from
the beginning of the first to the end of the second.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.races.arena import CALLERS, TAG, Arena, only
from tests.races.callers import Request
from tests.wire import OK, Answer, read

TURNS = 2
WRITERS = 24
"""Of documents: each of their writes is processed before it is answered."""


@dataclass(frozen=True)
class Step:
    """A request with the texts that it makes and ends."""

    message: Message
    makes: str = ""
    ends: Sequence[str] = ()


@dataclass
class Life:
    """Of a text: the calls that made and ended it."""

    made: Answer
    ended: Answer | None = None

    def may_be_seen(self, search: Answer) -> bool:
        return self.made.sent <= search.ended and (
            self.ended is None or self.ended.ended >= search.sent
        )

    def must_be_seen(self, search: Answer) -> bool:
        begins = math.inf if self.ended is None else self.ended.sent
        return self.made.ended < search.sent and search.ended < begins


def memories(arena: Arena) -> None:
    """64 callers write, change, forget, restore and delete, and search between any two."""
    _judge(arena, [list(_memory_steps(caller)) for caller in range(CALLERS)])


def documents(arena: Arena) -> None:
    """24 callers rewrite, extend and delete documents, and wait until each is DONE."""
    _judge(arena, [list(_document_steps(caller)) for caller in range(WRITERS)])


def _memory_steps(caller: int) -> Iterator[Step]:
    for turn in range(TURNS):
        first, second, third = (f"plum {caller} of turn {turn}: {n}" for n in range(3))
        new = m.NewMemory(content=first)
        yield Step(m.CreateMemoriesRequest(container_tag=TAG, memories=[new]), first)
        for old, text in ((first, second), (second, third)):
            update = m.UpdateMemoryRequest(container_tag=TAG, content=old, new_content=text)
            yield Step(update, text, [old])
        if random.random() < 0.5:
            forget = m.ForgetMemoryRequest(container_tag=TAG, content=third)
            yield Step(forget, ends=[third])


def _document_steps(caller: int) -> Iterator[Step]:
    name = f"tree {caller}"
    put = {"custom_id": name, "container_tags": [TAG], "wait": True}
    for turn in range(TURNS):
        first, second, *said = (f"plum {caller} of turn {turn}: {n}" for n in range(5))
        yield Step(d.UpsertDocumentRequest(content=first, **put), first)  # type: ignore[arg-type]
        yield Step(d.UpdateDocumentRequest(id=name, content=second, wait=True), second, [first])
        talk = d.Conversation(messages=[d.ConversationMessage(text=said[0])])
        yield Step(d.UpsertDocumentRequest(conversation=talk, **put), said[0], [second])  # type: ignore[arg-type]
        for text in said[1:]:
            message = d.ConversationMessage(text=text)
            yield Step(d.AppendMessagesRequest(id=name, messages=[message], wait=True), text)
        yield Step(d.DeleteDocumentRequest(id=name), ends=said)


def _judge(arena: Arena, plans: Sequence[Sequence[Step]]) -> None:
    of_memories = isinstance(plans[0][0].message, m.CreateMemoriesRequest)
    search = _search("plum", of_memories=of_memories)
    scripts = [[Request(one) for step in plan for one in (step.message, search)] for plan in plans]
    answers = arena.play(scripts)
    lives: dict[str, Life] = {}
    for plan, own in zip(plans, answers, strict=True):
        only(own, OK)
        for step, wrote in zip(plan, own[::2], strict=True):
            response = read(step.message, wrote)
            if getattr(step.message, "wait", False):
                assert response.receipt.status == d.DOCUMENT_STATUS_DONE
            for text in step.ends:
                lives[text].ended = wrote
            if step.makes:
                lives[step.makes] = Life(wrote)
    searched = [answer for own in answers for answer in own[1::2]]
    for answer in searched:
        found = _found(search, answer)
        assert len(set(found)) == len(found), "a text twice"
        seen = {text for text in found if not lives[text].may_be_seen(answer)}
        assert not seen, f"seen before it was written or after it was gone: {seen}"
        missed = {text for text, life in lives.items() if life.must_be_seen(answer)} - set(found)
        assert not missed or len(found) == search.limit, f"not found though there: {missed}"
    left = {text for text, life in lives.items() if life.ended is None}
    final = arena.ask(search)
    assert set(_texts(final)) == left


def _search(query: str, *, of_memories: bool) -> m.SearchMemoriesRequest | d.SearchDocumentsRequest:
    kind = m.SearchMemoriesRequest if of_memories else d.SearchDocumentsRequest
    return kind(query=query, container_tags=[TAG], limit=100)


def _found(search: Message, answer: Answer) -> list[str]:
    return _texts(read(search, answer))


def _texts(response: m.SearchMemoriesResponse | d.SearchDocumentsResponse) -> list[str]:
    if isinstance(response, m.SearchMemoriesResponse):
        return [hit.memory.content for hit in response.hits]
    return [chunk.chunk.text for hit in response.hits for chunk in hit.chunks]

"""Searches beside writes: an answer is never behind what others were told before.

All processes share one monotonic clock. A text is there for certain from the end of
the call that wrote it to the beginning of the one that ended it, and may be there from
the beginning of the first to the end of the second.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.races.callers import Request
from tests.races.race_tenant import CALLERS, RaceTenant, only
from tests.wire import OK, Answer, read

WRITERS = 16
"""Of documents: each of their writes is processed before it is answered."""

TURNS = 2
"""How often each of them writes a document and deletes it."""

TOGETHER = 4
"""Callers of one container: so few that a search is often the first after a write."""


@dataclass(frozen=True)
class Step:
    """A request with the texts that it makes and ends."""

    message: Message
    makes: str = ""
    ends: Sequence[str] = ()


@dataclass
class Life:
    """Of a text: the calls that made and ended it."""

    tag: str
    made: Answer
    ended: Answer | None = None

    def may_be_seen(self, search: Answer) -> bool:
        return self.made.sent <= search.ended and (
            self.ended is None or self.ended.ended >= search.sent
        )

    def must_be_seen(self, search: Answer) -> bool:
        begins = math.inf if self.ended is None else self.ended.sent
        return self.made.ended < search.sent and search.ended < begins


def memories(race_tenant: RaceTenant) -> None:
    """64 callers write, change and forget, and search after each step."""
    plans = [list(_memory_steps(caller, _tag(caller))) for caller in range(CALLERS)]
    _judge(race_tenant, plans, m.SearchMemoriesRequest)


def documents(race_tenant: RaceTenant) -> None:
    """16 callers rewrite, extend and delete, wait until it is DONE, and search after each step."""
    plans = [list(_document_steps(caller, _tag(caller))) for caller in range(WRITERS)]
    _judge(race_tenant, plans, d.SearchDocumentsRequest)


def _tag(caller: int) -> str:
    return f"garden/{caller // TOGETHER}"


def _memory_steps(caller: int, tag: str) -> Iterator[Step]:
    first, second, third = (f"plum {caller}: {n}" for n in range(3))
    new = m.NewMemory(content=first)
    yield Step(m.CreateMemoriesRequest(container_tag=tag, memories=[new]), first)
    for old, text in ((first, second), (second, third)):
        update = m.UpdateMemoryRequest(container_tag=tag, content=old, new_content=text)
        yield Step(update, text, [old])
    if random.random() < 0.5:
        forget = m.ForgetMemoryRequest(container_tag=tag, content=third)
        yield Step(forget, ends=[third])


def _document_steps(caller: int, tag: str) -> Iterator[Step]:
    name = f"tree {caller}"
    put = {"custom_id": name, "container_tags": [tag], "wait": True}
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


def _judge(
    race_tenant: RaceTenant,
    plans: Sequence[Sequence[Step]],
    kind: type[m.SearchMemoriesRequest | d.SearchDocumentsRequest],
) -> None:
    searches = [
        kind(query="plum", container_tags=[_tag(caller)], limit=100) for caller in range(len(plans))
    ]
    answers = race_tenant.play(
        [
            [Request(message) for step in plan for message in (step.message, search)]
            for plan, search in zip(plans, searches, strict=True)
        ]
    )
    lives: dict[str, Life] = {}
    for plan, search, own in zip(plans, searches, answers, strict=True):
        only(own, OK)
        for step, wrote in zip(plan, own[::2], strict=True):
            response = read(step.message, wrote)
            if getattr(step.message, "wait", False):
                assert response.receipt.status == d.DOCUMENT_STATUS_DONE
            for text in step.ends:
                lives[text].ended = wrote
            if step.makes:
                lives[step.makes] = Life(search.container_tags[0], wrote)
    for search, own in zip(searches, answers, strict=True):
        here = {text: one for text, one in lives.items() if one.tag == search.container_tags[0]}
        for answer in own[1::2]:
            _check(answer, _texts(read(search, answer)), here)
        left = {text for text, life in here.items() if life.ended is None}
        assert set(_texts(race_tenant.ask(search))) == left


def _check(search: Answer, found: Sequence[str], lives: Mapping[str, Life]) -> None:
    assert len(set(found)) == len(found), "a text twice"
    wrong = {t for t in found if t not in lives or not lives[t].may_be_seen(search)}
    assert not wrong, f"seen before it was written or after it was gone: {wrong}"
    missed = {t for t, life in lives.items() if life.must_be_seen(search)} - set(found)
    assert not missed, f"not found though there: {missed}"


def _texts(response: m.SearchMemoriesResponse | d.SearchDocumentsResponse) -> list[str]:
    if isinstance(response, m.SearchMemoriesResponse):
        return [hit.memory.content for hit in response.hits]
    return [chunk.chunk.text for hit in response.hits for chunk in hit.chunks]

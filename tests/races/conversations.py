"""Appending to one conversation, beside others who append, replace and delete.

Every change takes a revision, which says in what order they happened: played again
in that order, one after the other, they make the same answers and the same document.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message

from palimpsest.v1 import common_pb2
from palimpsest.v1 import documents_pb2 as d
from tests.races import deletions
from tests.races.callers import Request
from tests.races.race_tenant import CALLERS, TAG, RaceTenant, only
from tests.wire import OK, Answer, read

EACH = 10
"""Messages of one caller."""

TALKS = 32
STEPS = 6


def appends(race_tenant: RaceTenant) -> None:
    """64 callers append ten messages each to a conversation that is new to all."""
    requests = [_append([f"{caller} says {n}" for n in range(EACH)]) for caller in range(CALLERS)]
    answers = race_tenant.race(requests)
    responses = [read(*pair) for pair in zip(requests, answers, strict=True)]
    assert sum(response.receipt.created for response in responses) == 1
    assert sorted(response.receipt.revision for response in responses) == list(
        range(1, CALLERS + 1)
    )
    (document,) = race_tenant.documents()
    said = _texts(document.conversation.messages)
    assert len(said) == CALLERS * EACH
    for request, response in zip(requests, responses, strict=True):
        there = slice(response.message_count - EACH, response.message_count)
        assert said[there] == _texts(request.messages)
    assert race_tenant.counted() == (1, 0)


def appends_in_turn(race_tenant: RaceTenant) -> None:
    """The same where each caller appends its messages in four calls, by either id."""
    name = race_tenant.ask(_append(["begun"])).receipt.id
    scripts = []
    for caller in range(CALLERS):
        said = [f"{caller} says {n}" for n in range(EACH)]
        parts = [said[:1], said[1:3], said[3:6], said[6:]]
        by = random.choice([name, "talk"])
        scripts.append([Request(_append(part, by)) for part in parts])
    answers = race_tenant.play(scripts)
    only([answer for own in answers for answer in own], OK)
    (document,) = race_tenant.documents()
    said = _texts(document.conversation.messages)
    assert len(said) == 1 + CALLERS * EACH
    for caller in range(CALLERS):
        own = [text for text in said if text.startswith(f"{caller} ")]
        assert own == [f"{caller} says {n}" for n in range(EACH)]
    _play_again(race_tenant, scripts, answers, said=["begun"], name=name)


def appends_against_replacements(race_tenant: RaceTenant) -> None:
    """Others put other messages in the conversation's place, or a text."""
    name = race_tenant.ask(_append(["begun"])).receipt.id
    scripts = []
    for caller in range(CALLERS):
        said = [f"{caller} says {n}" for n in range(3)]
        steps: list[Message] = [_append(said), _append(["and more"])]
        if caller % 4 == 0:
            replaced = d.UpsertDocumentRequest(custom_id="talk", conversation=_talk(said))
            text = d.UpsertDocumentRequest(custom_id="talk", content=f"text {caller}")
            steps = [text, replaced] if caller % 16 == 0 else [replaced]
        scripts.append([Request(step, random.uniform(0, 0.05)) for step in steps])
    answers = race_tenant.play(scripts)
    only([answer for own in answers for answer in own], OK, "NOT_A_CONVERSATION")
    _play_again(race_tenant, scripts, answers, said=["begun"], name=name)


def appends_against_deletions(race_tenant: RaceTenant) -> None:
    """Others delete it: who appends next begins another one, and nothing comes back."""
    deletes = [
        d.DeleteDocumentRequest(id="talk", allow_missing=True),
        d.BulkDeleteDocumentsRequest(ids=["talk"]),
    ]
    scripts = []
    for caller in range(CALLERS):
        steps: list[Message] = [_append([f"{caller} says {n}"]) for n in range(3)]
        if caller % 8 == 0:
            steps = [random.choice(deletes)] * 2
        scripts.append([Request(step, random.uniform(0, 0.05)) for step in steps])
    answers = race_tenant.play(scripts)
    only([answer for own in answers for answer in own], OK)
    _play_again(race_tenant, scripts, answers)


def appends_against_a_bulk_deletion(race_tenant: RaceTenant) -> None:
    """Of the container: conversations that are appended to after it began stay whole."""
    names = [f"talk {n}" for n in range(TALKS)]
    deletion = d.BulkDeleteDocumentsRequest(container_tags=[TAG])
    scripts = [[Request(deletion, 0.01)]]
    scripts += [
        [
            Request(_append([f"{caller} says {n}"], random.choice(names)))
            for n in range(random.randrange(1, STEPS))
        ]
        for caller in range(1, CALLERS)
    ]
    begun = [_append(["begun"], name) for name in names]
    first: list[tuple[Any, Any]] = [(request, race_tenant.ask(request)) for request in begun]
    (answer,), *rest = race_tenant.play(scripts)
    response = read(deletion, answer)
    assert response.completion == common_pb2.COMPLETION_COMPLETE
    for script, answers in zip(scripts[1:], rest, strict=True):
        first += [
            (request.message, read(request.message, got))
            for request, got in zip(script, answers, strict=True)
        ]
    written, said = deletions.Written(), dict[str, list[str]]()
    for request, got in sorted(first, key=lambda pair: pair[1].receipt.revision):
        receipt = got.receipt
        assert receipt.created == (receipt.id not in said)
        own = said.setdefault(receipt.id, [])
        own += _texts(request.messages)
        assert got.message_count == len(own)
        written.document("\n".join(own), receipt)
    taken = deletions.taken(race_tenant, written)
    found = {
        document.id: "\n".join(_texts(document.conversation.messages))
        for document in race_tenant.documents()
    }
    lost = deletions.judge(written.documents, found, taken[0])
    assert response.deleted_count == lost == len(taken)
    assert race_tenant.counted() == (len(found), 0)


def _append(said: Sequence[str], name: str = "talk") -> d.AppendMessagesRequest:
    return d.AppendMessagesRequest(
        id=name,
        messages=_talk(said).messages,
        create_if_missing=True,
        container_tags=[TAG],
    )


def _talk(said: Iterable[str]) -> d.Conversation:
    return d.Conversation(messages=[d.ConversationMessage(text=text) for text in said])


def _texts(messages: Iterable[d.ConversationMessage]) -> list[str]:
    return [message.text for message in messages]


def _play_again(
    race_tenant: RaceTenant,
    scripts: Sequence[Sequence[Request]],
    answers: Sequence[Sequence[Answer]],
    *,
    said: Sequence[str] = (),
    name: str = "",
) -> None:
    """What was done, in the order of revisions, to the document `name` that has said this."""
    done = [
        (request.message, read(request.message, got))
        for script, own in zip(scripts, answers, strict=True)
        for request, got in zip(script, own, strict=True)
        if got.ok
    ]
    changes = {_revision(response): (request, response) for request, response in done}
    changes.pop(0, None)
    assert sorted(changes) == list(range(1 + bool(name), race_tenant.revision() + 1)), (
        "lost or twice"
    )
    now: list[str] | None = list(said) if name else None
    text, gone = "", set[str]()
    for _, (request, response) in sorted(changes.items()):
        if isinstance(request, d.DeleteDocumentRequest | d.BulkDeleteDocumentsRequest):
            assert getattr(response, "id", name) == name, "deleted another one"
            gone.add(name)
            name, now = "", None
            continue
        receipt = response.receipt
        assert receipt.created == (not name)
        assert receipt.id not in gone
        assert receipt.id == (name or receipt.id)
        name = receipt.id
        if isinstance(request, d.AppendMessagesRequest):
            assert not text, "appended to a text"
            now = [*(now or ()), *_texts(request.messages)]
            assert response.message_count == len(now)
        else:
            assert isinstance(request, d.UpsertDocumentRequest)
            now, text = _texts(request.conversation.messages), request.content
    found = {
        one.id: (_texts(one.conversation.messages), one.content) for one in race_tenant.documents()
    }
    assert found == ({name: (now, text)} if name else {})
    assert race_tenant.counted() == (len(found), 0)


def _revision(response: Any) -> int:
    """Of the change that was made; 0 where there was none."""
    if isinstance(response, d.DeleteDocumentResponse):
        return response.revision if response.id else 0
    if isinstance(response, d.BulkDeleteDocumentsResponse):
        return response.revision if response.deleted_count else 0
    return int(response.receipt.revision)

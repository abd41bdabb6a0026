"""Forgetting by query beside changes of the same memories.

Every change takes a revision, which says in what order they happened.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from google.protobuf.message import Message

from palimpsest.v1 import memories_pb2 as m
from tests.races.callers import Request
from tests.races.race_tenant import CALLERS, TAG, RaceTenant, only
from tests.wire import OK, Answer, read

FORGETTERS = 8
QUERY = m.ForgetMemoriesRequest(
    container_tag=TAG, query="quinces in the larder", min_score=1e-9, max_forget=500
)


@dataclass
class Chain:
    """A memory as it is after the changes so far; `since`: when the last was answered."""

    latest: str
    content: str
    forgotten: bool = False
    since: float = 0.0


@dataclass(frozen=True)
class Change:
    """One of one memory: `made` is the new version of an update."""

    answer: Answer
    root: str
    made: str = ""
    content: str = ""
    restores: bool = False


def found_against_updates(race_tenant: RaceTenant) -> None:
    """Callers forget whatever a search finds; of each memory, another updates or restores it.

    No text is forgotten that was superseded before, none twice, and none that was
    there all the time is left out.
    """
    contents = [f"quinces in the larder, shelf {n}" for n in range(CALLERS - FORGETTERS)]
    receipts = race_tenant.remember(*contents)
    chains = {r.id: Chain(r.id, text) for r, text in zip(receipts, contents, strict=True)}
    begun = race_tenant.revision()
    twice = range(2)
    scripts = [[Request(QUERY, random.uniform(0, 0.05)) for _ in twice] for _ in range(FORGETTERS)]
    scripts += [_changes(root, chain.content) for root, chain in chains.items()]
    random.shuffle(scripts)
    answers = race_tenant.play(scripts)
    changes: dict[int, Change] = {}
    forgettings: list[tuple[int, Answer, m.ForgetMemoriesResponse]] = []
    for script, own in zip(scripts, answers, strict=True):
        only(own, OK, "MEMORY_NOT_FOUND", "MEMORY_NOT_FORGOTTEN", "MEMORY_NOT_LATEST")
        for request, got in zip(script, own, strict=True):
            if not got.ok:
                continue
            response = read(request.message, got)
            if isinstance(request.message, m.ForgetMemoriesRequest):
                forgettings.append((response.revision, got, response))
                continue
            changes[response.receipt.revision] = _change(request.message, got, response.receipt)
    batches = {
        revision - place: (match.id, got)
        for revision, got, response in forgettings
        for place, match in enumerate(reversed(response.matches))
    }
    assert sorted([*changes, *batches]) == list(range(begun + 1, race_tenant.revision() + 1))
    _play_again(chains, changes, forgettings)
    _judge(race_tenant, chains)


def _changes(root: str, content: str) -> list[Request]:
    """Of one memory, as it was made and then as it is after its first update."""
    after = f"{content}, and then some"
    steps: list[Message] = [
        m.UpdateMemoryRequest(container_tag=TAG, content=content, new_content=after),
        m.RestoreMemoryRequest(container_tag=TAG, id=root),
        m.UpdateMemoryRequest(container_tag=TAG, content=content, new_content=after),
        m.UpdateMemoryRequest(container_tag=TAG, content=after, new_content=f"{after} more"),
    ]
    return [Request(step, random.uniform(0, 0.05)) for step in steps]


def _change(request: Message, answer: Answer, receipt: m.MemoryReceipt) -> Change:
    if isinstance(request, m.UpdateMemoryRequest):
        return Change(answer, receipt.root_memory_id, receipt.id, request.new_content)
    return Change(answer, receipt.root_memory_id, restores=True)


def _play_again(
    chains: dict[str, Chain],
    changes: dict[int, Change],
    forgettings: list[tuple[int, Answer, m.ForgetMemoriesResponse]],
) -> None:
    """All of it, in the order of revisions; what forgot nothing comes after what it names."""
    calls: list[tuple[int, bool, Change | tuple[Answer, m.ForgetMemoriesResponse]]] = [
        (revision, not response.matches, (got, response)) for revision, got, response in forgettings
    ]
    calls += [(revision, False, change) for revision, change in changes.items()]
    for _, _, call in sorted(calls, key=lambda one: one[:2]):
        if isinstance(call, Change):
            chain = chains[call.root]
            assert chain.forgotten == call.restores, "changed in the wrong state"
            if call.made:
                chain.latest, chain.content = call.made, call.content
            chain.forgotten, chain.since = False, call.answer.ended
            continue
        got, response = call
        assert response.forgotten_count == len(response.matches)
        assert bool(response.forget_batch_id) == bool(response.matches)
        named = Counter(match.id for match in response.matches)
        for chain in chains.values():
            times = named.pop(chain.latest, 0)
            assert times <= (not chain.forgotten), "forgotten twice"
            if times:
                chain.forgotten, chain.since = True, got.ended
            else:
                assert chain.forgotten or chain.since > got.sent, "left out"
        assert not named, f"superseded ones were forgotten: {named}"


def _judge(race_tenant: RaceTenant, chains: dict[str, Chain]) -> None:
    there = {v.root_memory_id: v for v in race_tenant.memories() if v.is_latest}
    assert there.keys() == chains.keys()
    for root, chain in chains.items():
        version = there[root]
        assert (version.id, version.content) == (chain.latest, chain.content)
        assert version.forgotten == chain.forgotten
    left = sorted(chain.content for chain in chains.values() if not chain.forgotten)
    search = m.SearchMemoriesRequest(query=QUERY.query, container_tags=[TAG], limit=100)
    assert sorted(hit.memory.content for hit in race_tenant.ask(search).hits) == left
    assert race_tenant.counted() == (0, len(left))

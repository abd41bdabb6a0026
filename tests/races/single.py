"""Races for one thing: a custom id, a version, an etag, a forgotten memory."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.races.callers import Request
from tests.races.race_tenant import CALLERS, TAG, RaceTenant, only, outcomes
from tests.wire import OK, read

HALF = CALLERS // 2


def first_upserts(race_tenant: RaceTenant) -> None:
    """One custom id, new to all: one document, and one `created`."""
    requests = [
        d.UpsertDocumentRequest(content=f"text {n}", custom_id="one", container_tags=[TAG])
        for n in range(CALLERS)
    ]
    answers = race_tenant.race(requests)
    receipts = [read(*pair).receipt for pair in zip(requests, answers, strict=True)]
    assert sum(receipt.created for receipt in receipts) == 1
    assert len({receipt.id for receipt in receipts}) == 1
    assert sorted(receipt.revision for receipt in receipts) == list(range(1, CALLERS + 1))
    (document,) = race_tenant.documents()
    last = max(range(CALLERS), key=lambda n: receipts[n].revision)
    assert (document.content, document.revision) == (f"text {last}", CALLERS)
    assert race_tenant.counted() == (1, 0)


def first_upserts_of_homes(race_tenant: RaceTenant) -> None:
    """One custom id, new to four containers: one document in each, and half of them moved on."""
    homes = [f"home{n}" for n in range(4)]
    requests = [
        d.UpsertDocumentRequest(
            content=f"text {n}", custom_id="one", container_tags=[homes[n % len(homes)], TAG]
        )
        for n in range(CALLERS)
    ]
    answers = race_tenant.race(requests)
    receipts = [read(*pair).receipt for pair in zip(requests, answers, strict=True)]
    assert sum(receipt.created for receipt in receipts) == len(homes)
    assert len({receipt.id for receipt in receipts}) == len(homes)
    assert race_tenant.counted() == (len(homes), 0)
    moves = [
        d.UpdateDocumentRequest(id=receipts[n % len(homes)].id, container_tags=[TAG])
        for n in range(CALLERS)
    ]
    # The first one has the custom id there; what it is told later is that nothing changes.
    moved = race_tenant.race(moves)
    assert outcomes(moved) == {OK: CALLERS // 4, "CUSTOM_ID_EXISTS": CALLERS - CALLERS // 4}
    homes_now = sorted(document.container_tags[0] for document in race_tenant.every_document())
    assert len(set(homes_now)) == len(homes)
    assert TAG in homes_now


def insert_only(race_tenant: RaceTenant) -> None:
    """The same where each asks to be the first: one is, the others are told."""
    answers = race_tenant.race(
        [
            d.UpsertDocumentRequest(
                content=f"text {n}", custom_id="one", mode=d.UPSERT_MODE_CREATE_ONLY
            )
            for n in range(CALLERS)
        ]
    )
    assert outcomes(answers) == {OK: 1, "CUSTOM_ID_EXISTS": CALLERS - 1}
    won = next(n for n, answer in enumerate(answers) if answer.ok)
    assert [document.content for document in race_tenant.documents()] == [f"text {won}"]


def updates(race_tenant: RaceTenant) -> None:
    """One version, found by its id: one successor, and 63 who are told of it."""
    (made,) = race_tenant.remember("first")
    requests = [
        m.UpdateMemoryRequest(container_tag=TAG, id=made.id, new_content=f"next {n}")
        for n in range(CALLERS)
    ]
    answers = race_tenant.race(requests)
    assert outcomes(answers) == {OK: 1, "MEMORY_NOT_LATEST": CALLERS - 1}
    won = next(n for n, answer in enumerate(answers) if answer.ok)
    receipt = read(requests[won], answers[won]).receipt
    losers = [answer for answer in answers if not answer.ok]
    assert {answer.code for answer in losers} == {"FAILED_PRECONDITION"}
    assert {answer.facts["latest_id"] for answer in losers} == {receipt.id}
    assert [v.content for v in race_tenant.chain(made.id)] == ["first", f"next {won}"]


def updates_by_content(race_tenant: RaceTenant) -> None:
    """The same, found by its text: whoever comes later finds no such memory."""
    (made,) = race_tenant.remember("first")
    answers = race_tenant.race(
        [
            m.UpdateMemoryRequest(container_tag=TAG, content="first", new_content=f"next {n}")
            for n in range(CALLERS)
        ]
    )
    assert outcomes(answers) == {OK: 1, "MEMORY_NOT_FOUND": CALLERS - 1}
    assert len(race_tenant.chain(made.id)) == 2


def document_etags(race_tenant: RaceTenant) -> None:
    """Changes, replacements and deletions of one document that name one etag."""
    made = race_tenant.ask(d.UpsertDocumentRequest(content="first", custom_id="one")).receipt
    makers: list[Callable[[int], Message]] = [
        lambda n: d.UpdateDocumentRequest(id="one", content=f"changed {n}", etag=made.etag),
        lambda n: d.UpsertDocumentRequest(
            content=f"replaced {n}",
            custom_id="one",
            mode=d.UPSERT_MODE_UPDATE_ONLY,
            etag=made.etag,
        ),
        lambda n: d.DeleteDocumentRequest(id=made.id, etag=made.etag),
    ]
    # Deletions in some rounds only: they would win too many of the others.
    kinds = 3 if random.random() < 0.25 else 2
    answers = race_tenant.race([makers[n % kinds](n) for n in range(CALLERS)])
    won = [n for n, answer in enumerate(answers) if answer.ok]
    assert len(won) == 1, outcomes(answers)
    deleted = won[0] % kinds == 2
    loss = "DOCUMENT_NOT_FOUND" if deleted else "ETAG_MISMATCH"
    assert outcomes(answers) == {OK: 1, loss: CALLERS - 1}
    assert {a.code for a in answers} == {OK, "NOT_FOUND" if deleted else "ABORTED"}
    contents = [document.content.split()[1] for document in race_tenant.documents()]
    assert contents == ([] if deleted else [str(won[0])])
    assert race_tenant.revision() == made.revision + 1


def memory_etags(race_tenant: RaceTenant) -> None:
    """Forgetting and restoring with one etag: one does, and has changed it."""
    (made,) = race_tenant.remember("first")
    forget = m.ForgetMemoryRequest(container_tag=TAG, id=made.id, etag=made.etag)
    answers = race_tenant.race([forget] * CALLERS)
    assert outcomes(answers) == {OK: 1, "MEMORY_FORGOTTEN": CALLERS - 1}
    (memory,) = race_tenant.memories()
    restore = m.RestoreMemoryRequest(container_tag=TAG, id=made.id, etag=memory.etag)
    stale = m.RestoreMemoryRequest(container_tag=TAG, id=made.id, etag=made.etag)
    answers = race_tenant.race([restore, stale] * HALF)
    assert outcomes(answers[::2]) == {OK: 1, "MEMORY_NOT_FORGOTTEN": HALF - 1}
    only(answers[1::2], "ETAG_MISMATCH", "MEMORY_NOT_FORGOTTEN")
    (memory,) = race_tenant.memories()
    assert (memory.forgotten, memory.etag) == (False, made.etag)


def restore_against_update(race_tenant: RaceTenant) -> None:
    """A forgotten memory is restored once, and updated once or never, after that."""
    (made,) = race_tenant.remember("first")
    race_tenant.ask(m.ForgetMemoryRequest(container_tag=TAG, id=made.id))
    restore = m.RestoreMemoryRequest(container_tag=TAG, id=made.id)
    update = m.UpdateMemoryRequest(container_tag=TAG, id=made.id, new_content="next")
    answers = race_tenant.race([restore, update] * HALF)
    restored, updated = answers[::2], answers[1::2]
    assert outcomes(restored)[OK] == 1
    only(restored, OK, "MEMORY_NOT_FORGOTTEN", "MEMORY_NOT_LATEST")
    assert outcomes(updated)[OK] <= 1
    only(updated, OK, "MEMORY_FORGOTTEN", "MEMORY_NOT_LATEST")
    versions = race_tenant.chain(made.id)
    assert len(versions) == 1 + outcomes(updated)[OK]
    assert not versions[-1].forgotten
    assert race_tenant.counted() == (0, 1)


def forget_against_expiry(race_tenant: RaceTenant) -> None:
    """64 memories expire while each is forgotten: one of both ended it, and says so."""
    due, made = _remember_briefly(race_tenant)
    ahead = due.ToNanoseconds() / 1e9 - time.time() - 0.03
    scripts = [
        [
            Request(
                m.ForgetMemoryRequest(container_tag=TAG, id=receipt.id, reason="by hand"),
                ahead + random.uniform(-0.05, 0.05),
            )
        ]
        for receipt in made
    ]
    answers = [answer for (answer,) in race_tenant.play(scripts)]
    only(answers, OK, "MEMORY_FORGOTTEN")
    memories = {memory.id: memory for memory in race_tenant.memories()}
    for receipt, answer in zip(made, answers, strict=True):
        memory = memories[receipt.id]
        assert memory.forgotten
        assert memory.forget_reason == ("by hand" if answer.ok else "scheduled")
        at = memory.forget_time.ToNanoseconds()
        assert at < due.ToNanoseconds() if answer.ok else at == due.ToNanoseconds()
    assert race_tenant.counted() == (0, 0)
    answers = race_tenant.race([m.RestoreMemoryRequest(container_tag=TAG, id=r.id) for r in made])
    assert outcomes(answers) == {OK: CALLERS}
    assert race_tenant.counted() == (0, CALLERS)


def _remember_briefly(race_tenant: RaceTenant) -> tuple[Timestamp, list[m.MemoryReceipt]]:
    """Memories that expire as soon as this machine can have made them."""
    due = Timestamp()
    for seconds in (0.5, 4, 32):
        due.FromMicroseconds(time.time_ns() // 1000 + round(seconds * 1_000_000))
        try:
            made = race_tenant.remember(
                *(f"brief {n}" for n in range(CALLERS)), forget_after=due, forget_reason="scheduled"
            )
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
        else:
            return due, made
    raise AssertionError("memories cannot be made in time to expire")


def batch_restore_against_single(race_tenant: RaceTenant) -> None:
    """64 memories forgotten together come back one by one and together, each once."""
    made = race_tenant.remember(*(f"memory {n}" for n in range(CALLERS)))
    forgotten = race_tenant.ask(
        m.ForgetMemoriesRequest(container_tag=TAG, ids=[r.id for r in made])
    )
    single = [m.RestoreMemoryRequest(container_tag=TAG, id=r.id) for r in made[: CALLERS - 4]]
    batch = m.RestoreMemoriesRequest(container_tag=TAG, forget_batch_id=forgotten.forget_batch_id)
    requests = [*single, *[batch] * 4]
    random.shuffle(requests)
    answers = race_tenant.race(requests)
    only(answers, OK, "MEMORY_NOT_FORGOTTEN")
    everything = sorted(receipt.id for receipt in made)
    restored: list[str] = []
    for request, answer in zip(requests, answers, strict=True):
        if not answer.ok:
            continue
        response = read(request, answer)
        if isinstance(request, m.RestoreMemoryRequest):
            restored.append(response.receipt.id)
            continue
        named = [*(receipt.id for receipt in response.receipts), *response.skipped_ids]
        assert sorted(named) == everything
        restored.extend(receipt.id for receipt in response.receipts)
    assert sorted(restored) == everything, "restored twice, or not at all"
    assert not any(memory.forgotten for memory in race_tenant.memories())
    assert race_tenant.counted() == (0, CALLERS)

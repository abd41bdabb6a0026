"""The stages that a call passes through in the storage."""

from __future__ import annotations

from service.core import model as m
from service.runtime import call_stages
from service.runtime.call_stages import CallStages
from service.storage.store import SqlStore


async def test_a_write_waits_runs_and_commits(store: SqlStore, principal: m.Principal) -> None:
    stages = CallStages()
    token = call_stages.enter(stages)
    await store.documents.upsert(principal, m.DocumentWrite("text"), None)
    call_stages.leave(token)

    noted = [(name, began, ended) for name, began, ended in stages.noted if "." not in name]
    assert [name for name, _, _ in noted] == ["queue", "write_wait", "transaction", "commit"]
    times = [time for _, began, ended in noted for time in (began, ended)]
    assert times == sorted(times)


async def test_a_read_waits_and_runs(store: SqlStore, principal: m.Principal) -> None:
    receipt = await store.documents.upsert(principal, m.DocumentWrite("text"), None)
    stages = CallStages()
    token = call_stages.enter(stages)
    await store.documents.get(principal, receipt.id)
    call_stages.leave(token)

    assert [name for name, _, _ in stages.noted] == ["queue", "read_wait", "read"]

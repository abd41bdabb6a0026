"""ForgetMemories by filter: matched on a snapshot that holds up no write, and then forgotten."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from service.core import filters as f
from service.core import model as m
from service.core.errors import PalimpsestError, Reason
from service.storage.store import SqlStore
from tests.gates import LIMIT, Gate, held

FILTER = f.AllOf((f.Condition("kind", f.EqualsString("draft")),))
LONG = f.AllOf((FILTER, *(f.Condition(f"k{n}", f.EqualsString("x")) for n in range(20))))
FORGET = m.MemoryForgetMany("c", filter=FILTER, max_forget=3, reason="old")
FIRST = m.IdempotencyKey("0" * 36, b"fingerprint")


async def _drafts(store: SqlStore, principal: m.Principal, count: int) -> list[str]:
    new = tuple(m.NewMemory(f"draft {n}", {"kind": "draft"}) for n in range(count))
    receipt = await store.memories.create(principal, m.MemoryCreate("c", new), None)
    return [one.id for one in receipt.receipts]


async def _forget(
    store: SqlStore,
    principal: m.Principal,
    *,
    preview: bool = False,
    request: m.IdempotencyKey | None = None,
    forget: m.MemoryForgetMany = FORGET,
) -> m.ForgetManyReceipt:
    return await store.memories.forget_many(principal, forget, request, validate_only=preview)


async def _shown(store: SqlStore, principal: m.Principal) -> set[str]:
    page = await store.memories.list(principal, m.MemoryQuery(("c",)), m.PageRequest(100))
    return {memory.id for memory in page.items}


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("filter_", [FILTER, LONG], ids=["few", "many"])
async def test_a_filter_holds_up_nobodys_writes(
    store: SqlStore, principal: m.Principal, preview: bool, filter_: f.Filter
) -> None:
    await _drafts(store, principal, 3)
    other = m.Principal(await store.ensure_tenant("other"), "k")
    forget = m.MemoryForgetMany("c", filter=filter_)
    with held() as gate:
        matching = asyncio.create_task(_forget(store, principal, preview=preview, forget=forget))
        await gate.wait()
        async with asyncio.timeout(LIMIT):
            await _drafts(store, other, 1)
            await _drafts(store, principal, 1)
        assert not matching.done()
        gate.go.set()
        assert len((await matching).ids) in ((3, 4) if filter_ is FILTER else (0,))


async def test_a_preview_does_not_wait_for_the_writer(
    store: SqlStore, principal: m.Principal
) -> None:
    made = await _drafts(store, principal, 3)
    gate = Gate()
    writing = asyncio.create_task(store.engine.database.write(gate.pass_through))
    await gate.wait()
    try:
        async with asyncio.timeout(LIMIT):
            assert (await _forget(store, principal, preview=True)).ids == tuple(made)
            by_ids = m.MemoryForgetMany("c", ids=tuple(made[:2]))
            assert (await _forget(store, principal, preview=True, forget=by_ids)).ids == by_ids.ids
            found = m.MemoryForgetMany("c", found=((made[2], 0.5), ("mem_none", 0.4)))
            previewed = await _forget(store, principal, preview=True, forget=found)
        assert (previewed.ids, previewed.scores) == ((made[2],), (0.5,))
        assert not writing.done()
    finally:
        gate.go.set()
        await writing


async def test_what_changes_between_match_and_write_is_left(
    store: SqlStore, principal: m.Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updated, forgotten and deleted ones are left; new ones are not included."""
    kept, updated, forgotten, deleted = await _drafts(store, principal, 4)
    forget = m.MemoryForgetMany("c", filter=FILTER)
    mutate = store.engine.mutate

    async def late(*arguments: Any, **more: Any) -> Any:
        monkeypatch.undo()
        target = m.MemoryTarget("c", updated)
        await store.memories.update(principal, m.MemoryUpdate(target, "final", metadata={}), None)
        await store.memories.forget(principal, m.MemoryForget(m.MemoryTarget("c", forgotten)), None)
        await store.memories.delete(principal, m.MemoryDelete("c", deleted), None)
        new.extend(await _drafts(store, principal, 1))
        return await mutate(*arguments, **more)

    new: list[str] = []
    monkeypatch.setattr(store.engine, "mutate", late)
    receipt = await _forget(store, principal, forget=forget)
    assert receipt.ids == (kept,)
    assert new[0] in await _shown(store, principal)
    restore = m.MemoryRestoreMany("c", receipt.forget_batch_id)
    restored = await store.memories.restore_many(principal, restore, None)
    assert [one.id for one in restored.receipts] == [kept]


async def test_a_call_whose_caller_has_gone_forgets_nothing(
    store: SqlStore, principal: m.Principal
) -> None:
    made = await _drafts(store, principal, 3)
    with held() as gate:
        matching = asyncio.create_task(_forget(store, principal))
        await gate.wait()
        matching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await matching
    assert await _shown(store, principal) == set(made)


async def test_too_many_matches_forget_nothing_but_a_repetition_has_the_first_receipt(
    store: SqlStore, principal: m.Principal
) -> None:
    await _drafts(store, principal, 3)
    first = await _forget(store, principal, request=FIRST)
    assert len(first.ids) == 3
    made = await _drafts(store, principal, 4)
    for preview in (False, True):
        with pytest.raises(PalimpsestError) as caught:
            await _forget(store, principal, preview=preview)
        assert caught.value.reason is Reason.TOO_MANY_MATCHES
    assert await _forget(store, principal, request=FIRST) == first
    with pytest.raises(PalimpsestError) as caught:
        await _forget(store, principal, request=m.IdempotencyKey(FIRST.request_id, b"another"))
    assert caught.value.reason is Reason.REQUEST_ID_REUSED
    assert await _shown(store, principal) == set(made)


async def test_content_that_very_many_have_is_not_read_for_each_of_them(
    store: SqlStore, principal: m.Principal
) -> None:
    new = tuple(m.NewMemory("the same") for _ in range(100))
    await store.memories.create(principal, m.MemoryCreate("c", new), None)
    (single,) = (
        await store.memories.create(principal, m.MemoryCreate("c", (m.NewMemory("another"),)), None)
    ).receipts
    limits: list[int] = []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        if re.search(r"content_hash (IN|= ANY)", statement):
            match = re.search(r"LIMIT \S+( OFFSET \S+)?$", statement.rstrip())
            assert match is not None
            limits.append(parameters[-2 if match[1] else -1])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        same, alone = await asyncio.gather(
            *(
                store.memories.forget(
                    principal, m.MemoryForget(m.MemoryTarget("c", content=text)), None
                )
                for text in ("the same", "another")
            ),
            return_exceptions=True,
        )
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert isinstance(same, PalimpsestError)
    assert same.reason is Reason.AMBIGUOUS_CONTENT
    assert same.message.startswith("More than 20 memories")
    assert len(same.metadata["ids"].split(",")) == 20
    assert isinstance(alone, m.MemoryReceipt)
    assert alone.id == single.id
    assert 0 < max(limits) < 60

"""Each change reaches a webhook at least once, in order, signed, whatever the receiver does."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from palimpsest.v1.changes_pb2 import Change, ListChangesResponse
from service.core import model as m
from service.core import webhooks as rules
from service.core.errors import PalimpsestError, Reason
from service.rpc.convert import changes as convert
from service.webhooks import delivery as deliveries
from tests.waiting import until
from tests.webhooks.conftest import LEASE, Site
from tests.webhooks.receiver import Event, Receiver, Reply, status


async def listed(site: Site, principal: m.Principal) -> list[Change]:
    """The changes as ListChanges answers them."""
    page = await site.store.changes.list(principal, m.ChangeQuery(size=1000))
    response = ListChangesResponse()
    convert.to_proto(page.changes, response.changes)
    return list(response.changes)


async def test_changes_are_sent_in_order_as_the_contract_has_them(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    [first, _] = await site.remember(principal, "one", "two")
    await site.store.documents.upsert(principal, m.DocumentWrite("text", "doc", ("a", "b")), None)
    target = m.MemoryTarget("a", first)
    await site.store.memories.update(principal, m.MemoryUpdate(target, "uno"), None)

    await site.delivery().deliver_due()

    secret = webhook.target.secret
    bodies = [event.accepted(secret) for event in receiver.events]
    assert [event.change(secret) for event in receiver.events] == await listed(site, principal)
    assert [body["type"] for body in bodies] == [
        "memory.created", "memory.created", "document.created", "memory.updated",
    ]  # fmt: skip
    assert [body["timestamp"] for body in bodies] == [body["data"]["time"] for body in bodies]
    assert [event.id for event in receiver.events] == [f"{webhook.id}_{n}" for n in range(1, 5)]
    assert {event.line for event in receiver.events} == {"POST /hook?token=private HTTP/1.1"}
    assert receiver.connections == 1
    assert (site.behind(webhook), site.state(webhook).state) == (0, m.WebhookState.ACTIVE)

    await site.delivery().deliver_due()
    assert len(receiver.events) == 4


async def test_an_event_says_on_whose_behalf_it_was(site: Site, receiver: Receiver) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    await site.remember(replace(principal, actor="chat:ann"), "one")
    await site.remember(principal, "two")

    await site.delivery().deliver_due()

    sent = [event.change(webhook.target.secret).actor for event in receiver.events]
    assert sent == ["chat:ann", ""]


async def test_a_webhook_begins_with_what_comes_after_it(site: Site, receiver: Receiver) -> None:
    principal = await site.tenant()
    await site.remember(principal, "before")
    webhook = site.add(receiver.url, after=None)
    [made] = await site.remember(principal, "after")

    await site.delivery().deliver_due()

    assert [event.change(webhook.target.secret).id for event in receiver.events] == [made]


async def test_only_what_is_asked_for_and_of_its_tenant_is_sent(
    site: Site, receiver: Receiver
) -> None:
    one, two = await site.tenant("one"), await site.tenant("two")
    tagged = site.add(receiver.url, "one", containers=("b",))
    kinds = site.add(receiver.url, "two", kinds=frozenset({m.ChangeKind.MEMORY_FORGOTTEN}))
    await site.remember(one, "x", container="a")
    [mine] = await site.remember(one, "x", container="b")
    [other] = await site.remember(two, "x", container="b")
    await site.store.memories.forget(two, m.MemoryForget(m.MemoryTarget("b", other)), None)

    await site.delivery().deliver_due()

    assert {event.id for event in receiver.events} == {f"{tagged.id}_2", f"{kinds.id}_2"}
    for event in receiver.events:
        webhook, memory = (tagged, mine) if event.id.startswith(tagged.id) else (kinds, other)
        assert event.change(webhook.target.secret).id == memory
    assert site.behind(tagged) == site.behind(kinds) == 0


async def test_a_receiver_that_fails_half_the_time_gets_each_change_in_order(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    chance = random.Random(7)
    taken: list[int] = []

    async def answer(event: Event) -> Reply:
        change = event.change(webhook.target.secret)
        assert event.id == f"{webhook.id}_{change.revision}"
        match chance.randrange(6):
            case 0:
                return None
            case 1:
                return status(500, body="no")
            case 2:
                # Taken, but the answer is lost: it has to come again.
                taken.append(change.revision)
                return None
            case _:
                taken.append(change.revision)
                return status(200, body="yes")

    receiver.answer = answer
    await site.remember(principal, *(f"memory {n}" for n in range(60)))
    delivery = site.delivery()
    while site.behind(webhook):
        await delivery.deliver_due()
        site.clock.advance(rules.LONGEST_PAUSE)

    first = list(dict.fromkeys(taken))
    assert first == [change.revision for change in await listed(site, principal)]
    # Strictly in order: a repetition is that of the last one.
    assert taken == sorted(taken)
    assert len(taken) > len(first)


async def test_the_next_attempt_waits_longer_each_time_until_the_webhook_is_parked(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    receiver.replies(status(503))
    await site.remember(principal, "one")
    began, delivery, waits = site.clock(), site.delivery(), list[float]()
    while True:
        await delivery.deliver_due()
        stored = site.state(webhook)
        if stored.state is not m.WebhookState.ACTIVE:
            break
        waits.append((stored.next_attempt - site.clock()) / 1e6)
        assert stored.failures == len(receiver.events) == len(waits)
        site.clock.advance(waits[-1] - 1)
        await delivery.deliver_due()
        assert len(receiver.events) == len(waits), "before its time"
        site.clock.advance(1.1)

    days = (site.clock() - began) / 1e6 / 86_400
    assert 2 < days < 4
    assert len(receiver.events) == rules.MAX_FAILURES
    assert stored.state is m.WebhookState.PARKED
    assert stored.last_error == "24 attempts failed, the last one: answered 503"
    assert [round(wait) for wait in waits[:4]] == [5, 10, 20, 40]
    assert round(waits[-1]) == rules.LONGEST_PAUSE

    site.clock.advance(7 * 86_400)
    await delivery.deliver_due()
    assert len(receiver.events) == rules.MAX_FAILURES
    receiver.replies(status(200))
    assert site.backend.administration.resume_webhook(webhook.id) == (0, 0)
    site.clock.advance(60)
    await delivery.deliver_due()
    assert (site.behind(webhook), site.state(webhook).failures) == (0, 0)


async def test_a_receiver_is_left_alone_for_as_long_as_it_asks(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    delivery = site.delivery()
    for asked, honoured in (("100", 100), ("99999999", rules.LONGEST_PAUSE), ("soon", 5)):
        site.backend.administration.resume_webhook(webhook.id)
        site.clock.advance(60)
        receiver.replies(status(429, f"retry-after: {asked}"))
        await site.remember(principal, asked)
        await delivery.deliver_due()
        wait = (site.state(webhook).next_attempt - site.clock()) / 1e6
        assert honoured * 0.9 < wait <= honoured


async def test_410_parks_at_once(site: Site, receiver: Receiver) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    receiver.replies(status(410))
    await site.remember(principal, "one", "two")

    await site.delivery().deliver_due()

    stored = site.state(webhook)
    assert (stored.state, stored.position) == (m.WebhookState.PARKED, 0)
    assert stored.last_error == "answered 410: it wants nothing more"
    assert len(receiver.events) == 1


async def test_changes_that_are_gone_park_the_webhook_until_it_is_resumed(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    await site.remember(principal, "old", "older")
    site.clock.advance(31 * 86_400)
    await site.store.trim_changes()
    [new] = await site.remember(principal, "new")

    await site.delivery().deliver_due()

    stored = site.state(webhook)
    assert (stored.state, receiver.events) == (m.WebhookState.PARKED, [])
    assert stored.last_error.startswith("changes after revision 0 are no longer kept")
    assert site.backend.administration.resume_webhook(webhook.id) == (0, 2)
    await site.delivery().deliver_due()
    assert [event.headers["webhook-id"] for event in receiver.events] == [f"{webhook.id}_3"]
    assert f'"{new}"'.encode() in receiver.events[0].body


async def test_a_paused_webhook_waits_and_goes_on_where_it_was(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    await site.remember(principal, "one")
    delivery = site.delivery()
    await delivery.deliver_due()
    assert site.backend.administration.pause_webhook(webhook.id)
    await site.remember(principal, "two")
    await delivery.deliver_due()
    assert len(receiver.events) == 1
    site.backend.administration.resume_webhook(webhook.id)
    await delivery.deliver_due()
    assert [event.id for event in receiver.events] == [f"{webhook.id}_1", f"{webhook.id}_2"]


async def test_pausing_and_removing_end_a_delivery_in_progress(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    administration = site.backend.administration
    for end in (administration.pause_webhook, administration.remove_webhook):
        receiver.events.clear()
        webhook = site.add(receiver.url)

        async def answer(_: Event) -> Reply:
            if len(receiver.events) == 1:
                end(webhook.id)  # noqa: B023
            return status(200)

        receiver.answer = answer
        await site.remember(
            principal, *(f"{end.__name__} {n}" for n in range(3 * deliveries.UNSAVED))
        )
        await site.delivery().deliver_due()
        assert len(receiver.events) <= deliveries.UNSAVED
    assert site.backend.administration.find_webhook(webhook.id) is None


async def test_of_two_servers_one_delivers(site: Site, receiver: Receiver) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    release = asyncio.Event()

    async def answer(_: Event) -> Reply:
        await release.wait()
        return status(200)

    receiver.answer = answer
    await site.remember(principal, "one", "two")
    holder, other = site.delivery(), site.delivery()
    running = asyncio.create_task(holder.deliver_due())
    await until(lambda: bool(receiver.events))
    for _ in range(4):
        await other.deliver_due()
        site.clock.advance(LEASE / 3)
        await holder.renew()
    assert len(receiver.events) == 1
    release.set()
    await running
    assert [event.id for event in receiver.events] == [f"{webhook.id}_1", f"{webhook.id}_2"]


async def test_what_a_dead_server_held_is_taken_over(site: Site, receiver: Receiver) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    await site.remember(principal, "one")
    [due] = await site.store.webhooks.due(site.clock(), 10)
    claimed = await site.store.webhooks.claim(due, "dead")
    assert claimed is not None
    assert await site.store.webhooks.claim(due, "late") is None

    other = site.delivery()
    await other.deliver_due()
    assert receiver.events == []
    site.clock.advance(LEASE)
    await other.deliver_due()
    assert [event.id for event in receiver.events] == [f"{webhook.id}_1"]
    # It was only slow: what it notes counts no more.
    assert not await site.store.webhooks.advance(claimed, "dead", 0)
    assert site.behind(webhook) == 0


async def test_a_server_that_stops_notes_what_was_delivered(site: Site, receiver: Receiver) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)

    async def answer(event: Event) -> Reply:
        if event.id.endswith("_4"):
            await asyncio.Event().wait()
        return status(200)

    receiver.answer = answer
    await site.remember(principal, *"abcdef")
    delivery = site.delivery()
    await delivery.begin()
    await until(lambda: len(receiver.events) == 4)
    await delivery.close()
    assert site.state(webhook).position == 3

    receiver.replies(status(200))
    await site.delivery().deliver_due()
    numbers = [int(event.id.rpartition("_")[2]) for event in receiver.events]
    assert numbers == [1, 2, 3, 4, 4, 5, 6]


async def test_a_slow_receiver_holds_up_no_other(site: Site, receiver: Receiver) -> None:
    principal = await site.tenant()
    slow, fast = site.add(receiver.url), site.add(receiver.url)

    async def answer(event: Event) -> Reply:
        if event.id.startswith(slow.id):
            await asyncio.Event().wait()
        return status(200)

    receiver.answer = answer
    await site.remember(principal, *"abc")
    delivery = site.delivery()
    await delivery.begin()
    await until(lambda: site.behind(fast) == 0)
    assert site.behind(slow) == 3
    await delivery.close()


async def test_a_storage_that_fails_makes_changes_come_again(
    site: Site, receiver: Receiver
) -> None:
    principal = await site.tenant()
    webhook = site.add(receiver.url)
    await site.remember(principal, "one")

    class Failing(type(site.store.webhooks)):  # type: ignore[misc]
        fails = True

        async def release(self, *given: object) -> bool:
            if self.fails:
                self.fails = False
                raise PalimpsestError(Reason.STORAGE_FULL, "full")
            return bool(await super().release(*given))

    site.store.webhooks = Failing(site.store.engine)
    delivery = site.delivery()
    await delivery.deliver_due()
    assert site.behind(webhook) == 1
    await delivery.deliver_due()
    assert site.behind(webhook) == 0
    assert [event.id for event in receiver.events] == [f"{webhook.id}_1"] * 2

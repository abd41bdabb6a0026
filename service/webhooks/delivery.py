"""Delivers changes to webhooks: each in order, each until it has been taken."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from service.core import model as m
from service.core import webhooks as rules
from service.core.errors import PalimpsestError, Reason
from service.core.liveness import LivenessObserver
from service.core.times import SECOND, WallClock
from service.ports.store import Changes
from service.ports.webhooks import DueWebhook, Webhooks

if TYPE_CHECKING:
    from service.webhooks.sending import Answer, Sender

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
"""A change is seen after this long at most."""

TURN_SECONDS: Final = 30.0
"""How long one webhook is delivered to before others that wait get its place."""

AT_ONCE: Final = 32
"""Webhooks that are delivered to at once."""

PAGE: Final = 100
"""Changes that are read at once."""

UNSAVED: Final = 32
"""Changes, at most, whose delivery a kill of the server forgets: they are repeated."""

SAVE_SECONDS: Final = 1.0


def _sender(target: m.WebhookTarget) -> Sender:
    # Its HTTP client is loaded when there is a webhook to send to.
    from service.webhooks.sending import Sender

    return Sender(target)


class WebhookDelivery:
    """The background tasks that deliver.

    Args:
        webhooks: Where to.
        changes: What.
        clock: The wall clock.
        lease: Seconds without a sign of another server after which its webhooks are taken over.
        sender: Makes what sends to one webhook.
        jitter: Random, from 0 to 1.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        changes: Changes,
        clock: WallClock,
        lease: float,
        *,
        sender: Callable[[m.WebhookTarget], Sender] = _sender,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._webhooks = webhooks
        self._changes = changes
        self._clock = clock
        self._lease = lease
        self._sender = sender
        self._jitter = jitter
        self._holder = secrets.token_hex(8)
        self._others: LivenessObserver[tuple[int, str]] = LivenessObserver(clock.elapsed)
        self._running: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._deliver_forever()),
            asyncio.create_task(self._renew_forever()),
        ]

    async def close(self) -> None:
        """End what is being sent; what was delivered is noted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def deliver_due(self) -> None:
        """Deliver to the webhooks whose turn has come, and wait until that has ended."""
        await self.begin()
        await asyncio.gather(*self._running.values())

    async def begin(self) -> None:
        """Begin to deliver to webhooks whose turn has come."""
        found = await self._webhooks.due(self._clock.now(), 4 * AT_ONCE)
        for due in self._free(found):
            key = due.tenant, due.id
            if key not in self._running and len(self._running) < AT_ONCE:
                task = asyncio.create_task(self._run(due))
                self._running[key] = task

    def _free(self, found: Sequence[DueWebhook]) -> list[DueWebhook]:
        """Those that no other server holds, or one that is dead."""
        unchanged = self._others.observe(
            {(due.tenant, due.id): (due.holder, due.beat) for due in found}
        )
        return [
            due
            for due in found
            if due.holder in (None, self._holder) or unchanged[due.tenant, due.id] >= self._lease
        ]

    async def renew(self) -> None:
        """Show other servers that this one lives."""
        if self._running:
            await self._webhooks.renew(list(self._running), self._holder)

    async def _deliver_forever(self) -> None:
        while True:
            await _guarded(self.begin())
            await asyncio.sleep(POLL_SECONDS)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 4)
            await _guarded(self.renew())

    async def _run(self, due: DueWebhook) -> None:
        try:
            await _guarded(self._take(due))
        finally:
            del self._running[due.tenant, due.id]

    async def _take(self, due: DueWebhook) -> None:
        webhook = await self._webhooks.claim(due, self._holder)
        if webhook is None:
            return
        turn = _Turn(webhook, self._webhooks, self._holder, self._clock, self._jitter)
        try:
            async with self._sender(webhook.target) as sender:
                await turn.deliver(self._changes, sender)
        finally:
            await turn.end()


class _Turn:
    """One webhook, delivered to for a while."""

    def __init__(
        self,
        webhook: m.Webhook,
        webhooks: Webhooks,
        holder: str,
        clock: WallClock,
        jitter: Callable[[], float],
    ) -> None:
        self._webhook = webhook
        self._webhooks = webhooks
        self._holder = holder
        self._clock = clock
        self._jitter = jitter
        self._position = webhook.position
        self._delivered = 0
        self._unsaved = 0
        self._saved_at = clock.elapsed()
        self._ended = False

    async def deliver(self, changes: Changes, sender: Sender) -> None:
        """Send changes, until there are no more, or one is not taken, or the time is over."""
        principal = m.Principal(self._webhook.tenant, "")
        target = self._webhook.target
        began = self._clock.elapsed()
        while not self._ended and self._clock.elapsed() - began < TURN_SECONDS:
            query = m.ChangeQuery(self._position, target.containers, target.kinds, PAGE)
            try:
                page = await changes.list(principal, query)
            except PalimpsestError as error:
                if error.reason is not Reason.REVISION_GONE:
                    raise
                await self._park(
                    f"changes after revision {self._position} are no longer kept; resume goes on "
                    "with the oldest that is"
                )
                return
            for change in page.changes:
                if not await self._deliver(sender, change):
                    return
            self._position = page.revision
            if page.revision >= page.latest:
                return

    async def end(self) -> None:
        """Let others go on from there."""
        if not self._ended:
            self._ended = True
            await self._webhooks.release(self._webhook, self._holder, self._position)

    async def _deliver(self, sender: Sender, change: m.Change) -> bool:
        """False: the turn has ended."""
        name = rules.message_id(self._webhook.id, change)
        answer = await sender.send(name, self._clock.now(), rules.change_body(change))
        if not answer.delivered:
            await self._failed(answer)
            return False
        self._position = change.revision
        self._delivered += 1
        self._unsaved += 1
        since = self._clock.elapsed() - self._saved_at
        if self._unsaved >= UNSAVED or since >= SAVE_SECONDS:
            self._unsaved, self._saved_at = 0, self._clock.elapsed()
            self._ended = not await self._webhooks.advance(
                self._webhook, self._holder, self._position
            )
        return not self._ended

    async def _failed(self, answer: Answer) -> None:
        failures = 1 if self._delivered else self._webhook.failures + 1
        if answer.gone:
            await self._park("answered 410: it wants nothing more", failures)
        elif failures >= rules.MAX_FAILURES:
            await self._park(f"{failures} attempts failed, the last one: {answer.error}", failures)
        else:
            wait = rules.pause(failures, self._jitter(), answer.retry_after)
            level = logging.WARNING if failures == 1 else logging.INFO
            log.log(
                level,
                "webhook %s: %s; attempt %d follows in %.0f s",
                self._webhook.id,
                answer.error,
                failures + 1,
                wait,
            )
            await self._note(failures, wait, answer.error, park=False)

    async def _park(self, reason: str, failures: int = 0) -> None:
        log.warning(
            "webhook %s is parked: %s; see `palimpsest webhooks list`", self._webhook.id, reason
        )
        await self._note(failures, 0, reason, park=True)

    async def _note(self, failures: int, wait: float, error: str, *, park: bool) -> None:
        self._ended = True
        await self._webhooks.fail(
            self._webhook,
            self._holder,
            self._position,
            failures=failures,
            next_attempt=self._clock.now() + round(wait * SECOND),
            error=error,
            park=park,
        )


async def _guarded(work: Awaitable[None]) -> None:
    """Log a failure: it is tried again."""
    try:
        await work
    except PalimpsestError as error:
        log.warning("webhooks wait: %s", error)
    except Exception:
        log.exception("webhooks wait after a failure; it will be tried again")

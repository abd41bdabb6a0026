"""The protocol of stored webhooks, as the delivery uses it.

Of several servers on a database one delivers to a webhook: its holder. A call that returns
False did nothing, as the caller is not the holder any more, or the webhook is not active.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core import model as m


@dataclass(frozen=True, slots=True)
class DueWebhook:
    """An active webhook with changes that it has not seen, and whose turn has come.

    `beat` differs from what it was as long as `holder` lives.
    """

    tenant: int
    id: str
    holder: str | None
    beat: int


class Webhooks(Protocol):
    async def due(self, now: int, limit: int) -> Sequence[DueWebhook]:
        """Those of all tenants, those first for which the least was done."""
        ...

    async def claim(self, due: DueWebhook, holder: str) -> m.Webhook | None:
        """Become the holder, unless it has changed since it was found due."""
        ...

    async def renew(self, held: Iterable[tuple[int, str]], holder: str) -> None:
        """Show that the holder lives."""
        ...

    async def advance(self, webhook: m.Webhook, holder: str, position: int) -> bool:
        """Everything up to `position` has been delivered."""
        ...

    async def release(self, webhook: m.Webhook, holder: str, position: int) -> bool:
        """The same, and others may go on from there."""
        ...

    async def fail(
        self,
        webhook: m.Webhook,
        holder: str,
        position: int,
        *,
        failures: int,
        next_attempt: int,
        error: str,
        park: bool,
    ) -> bool:
        """What follows `position` could not be delivered; `park`: give it up."""
        ...

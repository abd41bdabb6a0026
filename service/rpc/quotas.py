"""What one key, one tenant, and all callers together may have in use at once.

gRPC lets a caller open calls without end, send each message as slowly as it likes, and
never read an answer. Each of the resources this takes is bounded three times over: per
key, per tenant, and in all. The last quarter of each is left to tenants that use little,
so that heavy users, however many they are, do not keep the others out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.runtime.call_stages import stage

_MIB: Final = 1024 * 1024


class Resource(IntEnum):
    """What is bounded."""

    CALLS = 0
    """Calls in progress, streams and calls that wait for their message included."""

    MESSAGES = 1
    """Request messages that are being received."""

    BYTES = 2
    """Requests being worked on, answers being made, and answers that are not read yet."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a resource may be in use.

    Args:
        key: By one key.
        tenant: By all keys of one tenant.
        total: By all.
        small: By a tenant that may still have some when three quarters of `total` are in use.
    """

    key: int
    tenant: int
    total: int
    small: int

    @property
    def crowded(self) -> int:
        """So much in use, only tenants that use little are given more."""
        return self.total - self.total // 4


LIMITS: Final[Mapping[Resource, Limits]] = {
    Resource.CALLS: Limits(key=2_000, tenant=4_000, total=10_000, small=100),
    Resource.MESSAGES: Limits(key=32, tenant=64, total=256, small=8),
    Resource.BYTES: Limits(key=128 * _MIB, tenant=256 * _MIB, total=768 * _MIB, small=32 * _MIB),
}

SMALL_BYTES: Final = 4096
"""A message of no more than this is not worth counting."""

QUEUE_SECONDS: Final = 10.0
"""How long a call waits for a share of its quota before it is refused."""

_RETRY_SECONDS: Final = 1.0
_IDLE_ACCOUNTS: Final = 10_000


class Account:
    """What one key has in use, and its tenant."""

    __slots__ = ("key", "tenant", "tenant_number")

    def __init__(self, tenant_number: int, tenant: list[int]) -> None:
        self.tenant_number = tenant_number
        self.tenant = tenant
        self.key = [0] * len(Resource)


class Quotas:
    """Counts what is in use, and refuses what would be too much."""

    def __init__(self, limits: Mapping[Resource, Limits] = LIMITS) -> None:
        self._limits = [limits[resource] for resource in Resource]
        self._total = [0] * len(Resource)
        self._tenants: dict[int, list[int]] = {}
        self._accounts: dict[tuple[int, str], Account] = {}
        self._queues: list[dict[Account, deque[tuple[int, asyncio.Future[None]]]]] = [
            {} for _ in Resource
        ]

    def account(self, principal: Principal) -> Account:
        """The account of a key; it stays the same as long as anything is in use on it."""
        name = (principal.tenant, principal.key_id)
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= _IDLE_ACCOUNTS:
                self._forget_idle()
            tenant = self._tenants.setdefault(principal.tenant, [0] * len(Resource))
            account = self._accounts[name] = Account(principal.tenant, tenant)
        return account

    def in_use(self, resource: Resource) -> int:
        """By all callers together."""
        return self._total[resource]

    def acquire(self, account: Account, resource: Resource, amount: int = 1) -> None:
        """Use so much more; raises QUOTA_EXCEEDED, or OVERLOADED if it is not the caller's own."""
        bound = self._exceeded(account, resource, amount)
        if bound is not None:
            raise _refusal(resource, bound)
        self._add(account, resource, amount)

    async def acquire_in_turn(
        self, account: Account, resource: Resource, amount: int = 1, seconds: float = QUEUE_SECONDS
    ) -> None:
        """`acquire`, waiting for `seconds` at most until there is room; a key's calls in order."""
        waiting = self._queues[resource].get(account)
        if waiting is None and self._exceeded(account, resource, amount) is None:
            self._add(account, resource, amount)
            return
        if amount > self._limits[resource].key:
            raise _refusal(resource, "key")
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (amount, granted)
        self._queues[resource].setdefault(account, deque()).append(entry)
        try:
            with stage("quota"):
                async with asyncio.timeout(seconds):
                    await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self.release(account, resource, amount)
            else:
                self._leave_queue(account, resource, entry)
            if isinstance(error, TimeoutError):
                bound = self._exceeded(account, resource, amount)
                raise _refusal(resource, bound or "key") from None
            raise

    def resize(self, account: Account, resource: Resource, before: int, after: int) -> None:
        """What was estimated as `before` turned out to be `after`: counted, whatever it is."""
        if after < before:
            self.release(account, resource, before - after)
        else:
            self._add(account, resource, after - before)

    def release(self, account: Account, resource: Resource, amount: int = 1) -> None:
        """So much is in use no longer."""
        if amount:
            self._add(account, resource, -amount)
            if self._queues[resource]:
                self._grant(resource)

    def _exceeded(self, account: Account, resource: Resource, amount: int) -> str | None:
        """Which bound would be passed."""
        limits = self._limits[resource]
        if account.key[resource] + amount > limits.key:
            return "key"
        if account.tenant[resource] + amount > limits.tenant:
            return "tenant"
        total = self._total[resource] + amount
        if total <= limits.crowded:
            return None
        if total > limits.total or account.tenant[resource] + amount > limits.small:
            return "total"
        return None

    def _add(self, account: Account, resource: Resource, amount: int) -> None:
        account.key[resource] += amount
        account.tenant[resource] += amount
        self._total[resource] += amount

    def _grant(self, resource: Resource) -> None:
        """Let those go on for whom there is room now, one of each key in turn."""
        queues = self._queues[resource]
        blocked = 0
        while queues and blocked < len(queues):
            account = next(iter(queues))
            waiting = queues.pop(account)
            while waiting and waiting[0][1].done():
                waiting.popleft()
            if not waiting:
                continue
            amount, granted = waiting[0]
            if self._exceeded(account, resource, amount) is None:
                waiting.popleft()
                self._add(account, resource, amount)
                granted.set_result(None)
                blocked = 0
            else:
                blocked += 1
            if waiting:
                queues[account] = waiting

    def _leave_queue(
        self, account: Account, resource: Resource, entry: tuple[int, asyncio.Future[None]]
    ) -> None:
        waiting = self._queues[resource].get(account)
        if waiting is not None:
            if entry in waiting:
                waiting.remove(entry)
            if not waiting:
                del self._queues[resource][account]
            self._grant(resource)

    def _forget_idle(self) -> None:
        self._accounts = {name: one for name, one in self._accounts.items() if any(one.key)}
        known = {tenant for tenant, _ in self._accounts}
        self._tenants = {number: used for number, used in self._tenants.items() if number in known}


_NOUNS: Final = {
    Resource.CALLS: "calls in progress",
    Resource.MESSAGES: "messages being received",
    Resource.BYTES: "bytes of requests and unread answers",
}


def _refusal(resource: Resource, bound: str) -> PalimpsestError:
    noun = _NOUNS[resource]
    if bound == "total":
        return PalimpsestError(
            Reason.OVERLOADED, f"The server has too many {noun}; try again", retry_after=1
        )
    return PalimpsestError(
        Reason.QUOTA_EXCEEDED,
        f"The {bound} has too many {noun}; end some, read the answers, or send less at once",
        metadata={"quota": f"{resource.name.lower()}_per_{bound}"},
        retry_after=_RETRY_SECONDS,
    )

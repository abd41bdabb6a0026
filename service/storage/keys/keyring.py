"""Authentication: keys looked up once, and again after any change of the keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from service.core.errors import PalimpsestError, Reason
from service.core.model import Principal
from service.runtime.coalescing import Coalescer
from service.storage.keys import operations as keys

T = TypeVar("T")

MAX_CACHED = 10_000
MAX_AGE_SECONDS = 5.0
"""Trust in a cached key when the epoch could miss a change."""


class Reads(Protocol):
    async def read(self, work: Callable[[Connection], T], *, snapshot: bool) -> T: ...


class Keyring:
    """Finds the principal of a token.

    Args:
        database: Where the keys are.
        epoch: Differs after every change of the keys, made by any process; called
            for each request, so it must be cheap.
        now: The storage's time, for expiry.
        max_waiting: Look-ups that may wait.
        max_age: Seconds for which a key that was found is trusted, from before it was looked
            up, as far as the epoch has not changed.
    """

    def __init__(
        self,
        database: Reads,
        epoch: Callable[[], object],
        now: Callable[[], int],
        max_waiting: int,
        max_age: float = MAX_AGE_SECONDS,
    ) -> None:
        self._database = database
        self._epoch = epoch
        self._now = now
        self._max_age = max_age
        self._seen: object = None
        self._seen_at = 0.0
        self._cache: dict[bytes, Principal] = {}
        self._lookups: Coalescer[bytes, Principal] = Coalescer(self._find, max_waiting)

    async def authenticate(self, token: str) -> Principal:
        """Whose key this is; raises KEY_INVALID. Sees a revocation at once."""
        if not keys.looks_like_key(token):
            raise _invalid()
        digest = keys.hash_key(token)
        epoch = self._epoch()
        clock = time.monotonic()
        if epoch != self._seen or clock - self._seen_at > self._max_age:
            self._cache.clear()
            self._seen, self._seen_at = epoch, clock
        principal = self._cache.get(digest)
        if principal is None:
            principal = await self._lookups.submit(digest)
            # A lookup that began before a change must not outlive it.
            if epoch == self._seen and len(self._cache) < MAX_CACHED:
                self._cache[digest] = principal
        if principal.expires_at is not None and principal.expires_at <= self._now():
            raise _invalid()
        return principal

    def key_id(self, token: str) -> str:
        """The id of the key that a token claims to be, safe to be logged; or nothing."""
        return keys.named_key(token)

    async def _find(self, digests: Sequence[bytes]) -> list[Principal | PalimpsestError]:
        # One statement, and a single read: authentication does not wait for lists.
        found = await self._database.read(lambda conn: keys.find(conn, digests), snapshot=False)
        return [found.get(digest) or _invalid() for digest in digests]


def _invalid() -> PalimpsestError:
    return PalimpsestError(Reason.KEY_INVALID, "The key is not valid")

"""A tenant's share of a transaction: its time, revisions, changes and receipts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from service.core import ids, receipts
from service.core.digests import Digester
from service.core.errors import PalimpsestError
from service.core.model import ChangeKind, IdempotencyKey, Principal
from service.core.times import Moment, WallClock
from service.ports.indexing import IndexEntry
from service.runtime.call_stages import stage
from service.storage import dialects
from service.storage.change_kinds import NON_DESTRUCTIVE
from service.storage.functions import TransactionId
from service.storage.inserts import insert_rows, run_once, upsert_rows
from service.storage.tables import changes, containers, requests, tenants
from service.storage.watching import ANYTHING

T = TypeVar("T")
P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)
R = TypeVar("R")


SYSTEM_KEY_ID: Final = "system"
"""Takes the place of a key's id in changes that the service makes by itself."""


class Deferred(Enum):
    """Marks a mutation that must wait for another of its batch."""

    DEFERRED = 0


DEFERRED: Final = Deferred.DEFERRED

Outcome: TypeAlias = R | PalimpsestError | Deferred
"""What an operation makes of a mutation: a receipt, an error, or that it must wait."""


@dataclass(slots=True)
class Mutation(Generic[P_co]):
    """What a principal asks to be changed, on its way through a batch."""

    principal: Principal
    payload: P_co
    request: IdempotencyKey | None = None
    progress: object = None
    """The unfinished receipt of an earlier mutation with the same request_id."""
    texts: Sequence[str] = ()
    """Of memories that are to be indexed together with others of the batch."""
    dates: Sequence[Moment | None] = ()
    """The date that each of the texts is about."""
    index: Sequence[IndexEntry] = ()
    """Of the texts of memories, one for each; or nothing."""
    dated: Callable[[str, Moment | None], bytes] | None = None
    """Makes the entry of a text whose date was not known before."""

    @property
    def tenant(self) -> int:
        return self.principal.tenant


Operation: TypeAlias = Callable[["TenantTx", Sequence[Mutation[P]]], Sequence[Outcome[R]]]
"""Works on mutations of one tenant and kind: P is their payload, R what each comes to."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every transaction needs in addition to its connection."""

    clock: WallClock
    digester: Digester
    pause: Callable[[], None]
    """See `Database.pause`."""


def pad_in_list(values: Iterable[T]) -> list[T]:
    """The values, repeated up to a power of two.

    An IN list is part of a statement's text: few lengths are few statements to
    prepare.
    """
    items = list(values)
    size = 1
    while size < len(items):
        size *= 2
    return items + items[-1:] * (size - len(items))


_TENANT = (
    select(tenants.c.revision, tenants.c.last_time, TransactionId().label("number"))
    .where(tenants.c.tenant == bindparam("t"))
    .with_for_update()
)
_LOCK = (
    select(tenants.c.tenant, TransactionId().label("number"))
    .where(tenants.c.tenant.in_(bindparam("tenants", expanding=True)))
    .order_by(tenants.c.tenant)
    .with_for_update()
)
_LOCK_FREE = _LOCK.with_for_update(skip_locked=True)
_ADVANCE = (
    update(tenants)
    .where(tenants.c.tenant == bindparam("t"))
    .values(revision=bindparam("to_revision"), last_time=bindparam("to_time"))
)


def lock_tenants(conn: Connection, wanted: Iterable[int], *, wait: bool = True) -> set[int]:
    """Lock these tenants' rows before anything else is written; answers which are locked.

    Transactions wait for them in the same order, so that none waits for another that waits
    for it. Without `wait`, the tenants that another transaction is writing are left out.
    """
    tenants = set(wanted)
    if not tenants or not dialects.is_remote(conn):
        return tenants
    lock = _LOCK if wait else _LOCK_FREE
    return {row.tenant for row in _locked(conn, lock, {"tenants": sorted(tenants)})}


def _locked(conn: Connection, lock: Select[Any], where: dict[str, object]) -> Sequence[Row[Any]]:
    """The rows of tenants, which no other transaction writes from now on."""
    # SQLite has waited when the transaction began, and runs in a thread that notes nothing.
    with stage("transaction.lock"):
        rows = conn.execute(lock, where).all()
    for row in rows:
        dialects.note_transaction(conn, row.number)
    return rows


class Snapshot(Protocol):
    """What reading a tenant's rows needs: a transaction that writes, or one that reads."""

    @property
    def conn(self) -> Connection: ...

    @property
    def tenant(self) -> int: ...

    @property
    def digester(self) -> Digester: ...

    @property
    def revision(self) -> int: ...

    @property
    def wall(self) -> int: ...


@dataclass(frozen=True, slots=True)
class TenantRead:
    """A transaction that only reads; see `Snapshot`."""

    conn: Connection
    tenant: int
    digester: Digester
    revision: int
    wall: int


class TenantTx:
    """One tenant's share of a transaction.

    The tenant's row is locked first and written last, so that commit order,
    revision order and time order are one, without gaps, on any backend.
    `now` is the commit time, after every earlier one of the tenant whatever the clocks
    of its processes say: it orders. `wall` is the wall clock: it judges what has
    expired, and what lies ahead.
    """

    def __init__(self, conn: Connection, tenant: int, context: Context) -> None:
        self.conn = conn
        self.tenant = tenant
        self.pause = context.pause
        self.digester = context.digester.for_tenant(tenant)
        (row,) = _locked(conn, _TENANT, {"t": tenant})
        self.revision: int = row.revision
        self.last_time: int = row.last_time
        self.wall = context.clock.now()
        self.now = max(self.wall, row.last_time + 1)
        self._next_id = 0
        self._unnamed = False
        self.erased = False
        """To be set by an operation that deleted or replaced more than its changes say."""
        self.queued = False
        """To be set by an operation that put documents into the queue."""
        self.floor = 0
        """To be set by an operation: no later commit has a time up to this one."""
        self._changes: list[dict[str, object]] = []
        self._requests: list[dict[str, object]] = []
        self._counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def new_id(self, prefix: str) -> str:
        self._next_id += 1
        return ids.new_id(prefix, self.now, min(self._next_id, ids.MAX_COUNTER))

    def change(
        self,
        mutation: Mutation[object],
        kind: ChangeKind,
        entity_id: str,
        in_containers: Iterable[str],
    ) -> int:
        """Take the next revision for a change; the answer is its number."""
        self.revision += 1
        self._changes.extend(
            {
                "tenant": self.tenant,
                "revision": self.revision,
                "container": container,
                "kind": kind.value,
                "entity_id": entity_id,
                "time": self.now,
                **self.origin(mutation),
            }
            for container in in_containers
        )
        return self.revision

    @staticmethod
    def origin(mutation: Mutation[object]) -> dict[str, object]:
        """The columns that say by which key and request, and on whose behalf, a change is made."""
        principal = mutation.principal
        return {
            "key_id": principal.key_id,
            "request_id": mutation.request.request_id if mutation.request else None,
            "actor": principal.actor or None,
        }

    def take_revisions(self, count: int) -> int:
        """Take so many revisions, whose change rows the caller writes itself.

        The answer is the revision before the first. All the tenant's watchers are
        woken, as what changed is not known here.
        """
        self.revision += count
        self._unnamed = True
        return self.revision - count

    def count(self, container: str, *, documents: int = 0, memories: int = 0) -> None:
        """Add to a container's counts; a first write makes the container."""
        counts = self._counts[container]
        counts[0] += documents
        counts[1] += memories

    def remember(
        self, mutation: Mutation[object], receipt: object, *, complete: bool = True
    ) -> None:
        """Keep the receipt for repetitions of the call's request_id."""
        if mutation.request is not None:
            self._requests.append(
                {
                    "tenant": self.tenant,
                    "request_id": mutation.request.request_id,
                    "fingerprint": mutation.request.fingerprint,
                    "receipt": receipts.encode(receipt),
                    "complete": complete,
                    "create_time": self.wall,
                }
            )

    def changed_ids(self) -> set[str]:
        changed = {str(change["entity_id"]) for change in self._changes}
        return changed | {ANYTHING} if self._unnamed else changed

    @property
    def advances(self) -> bool:
        """Whether revisions were taken."""
        return bool(self._changes) or self._unnamed

    @property
    def erases(self) -> bool:
        """Whether something was deleted or replaced."""
        return (
            self.erased
            or self._unnamed
            or any(change["kind"] not in NON_DESTRUCTIVE for change in self._changes)
        )

    def flush(self) -> None:
        """Write the changes, counts and receipts, and at last the tenant's row."""
        counts = [
            {
                "tenant": self.tenant,
                "container": container,
                "create_time": self.now,
                "documents": documents,
                "memories": memories,
            }
            for container, (documents, memories) in self._counts.items()
        ]
        upsert_rows(self.conn, containers, counts, add=("documents", "memories"))
        put = ("receipt", "complete", "create_time")
        upsert_rows(self.conn, requests, self._requests, put=put)
        insert_rows(self.conn, changes, self._changes)
        if self.advances or self.floor > self.last_time:
            to_time = self.now if self.advances else self.floor
            reached = {"t": self.tenant, "to_revision": self.revision, "to_time": to_time}
            run_once(self.conn, _ADVANCE, reached)


def close_past(tx: TenantTx, mutations: Sequence[Mutation[int]]) -> Sequence[Outcome[int]]:
    """No later commit of the tenant has a time up to the given instants.

    A transaction holds the tenant's row until its commit: when this runs, none is about to
    commit with an earlier time, in any process. Answers the time up to which that holds.
    """
    tx.floor = max(mutation.payload for mutation in mutations)
    return [max(tx.floor, tx.last_time)] * len(mutations)


_LAST_TIME = select(tenants.c.last_time).where(tenants.c.tenant == bindparam("t"))


def last_time(conn: Connection, tenant: int) -> int:
    """The tenant's latest commit time: every later one is greater."""
    return int(conn.execute(_LAST_TIME, {"t": tenant}).scalar_one())


_COMPACT = json.JSONEncoder(separators=(",", ":"))


def json_list(values: Iterable[object]) -> str:
    listed = list(values)
    return _COMPACT.encode(listed) if listed else "[]"

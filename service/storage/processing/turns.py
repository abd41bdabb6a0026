"""Whose documents are taken next: tenants take turns, and the containers of each.

A tenant that another transaction is writing is passed over while others have documents, so
that a long transaction of one tenant holds up no other; but only MOST_PASSES times in a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import Connection, TextClause, text

from service.storage.transactions import lock_tenants

T = TypeVar("T")

MOST_TENANTS: Final = 1024
"""Tenants considered for one claim."""

MOST_PASSES: Final = 4
"""How often in a row a tenant is passed over; the next claim waits for it."""


class Partition(NamedTuple):
    """A container of a tenant, as the queue sees it; `jobs.lane` is its name."""

    tenant: int
    name: str


NO_PARTITION: Final = Partition(-1, "")
"""The partition of no document."""


@dataclass(slots=True)
class RoundRobinCursor:
    """The partition that was served last: tenants take turns, and the containers of each."""

    tenant: int = 0
    partitions: dict[int, str] = field(default_factory=dict)
    """By tenant: the name of its partition that was served last."""
    passes: Counter[int] = field(default_factory=Counter)
    """By tenant: how many claims in a row have passed over it."""

    def overdue(self, partitions: Sequence[Partition]) -> set[int]:
        """The tenants to wait for. They are counted again from now on, even if waiting fails."""
        found = {tenant for tenant in _tenants(partitions) if self.passes[tenant] >= MOST_PASSES}
        for tenant in found:
            del self.passes[tenant]
        return found

    def claimed(
        self,
        partitions: Sequence[Partition],
        locked: Sequence[Partition],
        served: Sequence[Partition],
    ) -> None:
        """Of these partitions a claim could lock some, and has served some of those."""
        self.passes.update(_tenants(partitions) - _tenants(locked))
        for partition in served:
            self.tenant = partition.tenant
            self.partitions[partition.tenant] = partition.name
            del self.passes[partition.tenant]

    def keep(self, tenants: Sequence[int]) -> None:
        """Forget the others."""
        self.partitions = {t: self.partitions[t] for t in tenants if t in self.partitions}
        self.passes = Counter({t: self.passes[t] for t in tenants if t in self.passes})


# Both jump from one value of the index to the next, however many rows are between.
_TENANTS = text(
    """
    WITH RECURSIVE found (tenant) AS (
      SELECT min(tenant) FROM jobs WHERE tenant > :after
      UNION ALL
      SELECT (SELECT min(tenant) FROM jobs WHERE tenant > found.tenant)
      FROM found WHERE found.tenant IS NOT NULL)
    SELECT tenant FROM found WHERE tenant IS NOT NULL LIMIT :most"""
)
_PARTITIONS = text(
    """
    WITH RECURSIVE found (lane) AS (
      SELECT min(lane) FROM jobs WHERE tenant = :t AND lane > :after
      UNION ALL
      SELECT (SELECT min(lane) FROM jobs WHERE tenant = :t AND lane > found.lane)
      FROM found WHERE found.lane IS NOT NULL)
    SELECT lane FROM found
    WHERE lane IS NOT NULL AND EXISTS (
      SELECT 1 FROM jobs WHERE tenant = :t AND jobs.lane = found.lane AND due_time <= :now)
    LIMIT :most"""
)


def first_tenants(conn: Connection) -> Sequence[int]:
    """Tenants with documents in the queue, MOST_TENANTS at most."""
    return conn.execute(_TENANTS, {"after": -1, "most": MOST_TENANTS}).scalars().all()


def due(conn: Connection, limit: int, cursor: RoundRobinCursor, now: int) -> list[Partition]:
    """The partitions whose turn it is, in turn: enough of them for `limit` documents."""
    partitions: list[list[Partition]] = []
    tenants = _from(conn, _TENANTS, cursor.tenant, -1, {"most": MOST_TENANTS})
    for tenant in tenants:
        where = {"t": tenant, "now": now, "most": limit}
        found = _from(conn, _PARTITIONS, cursor.partitions.get(tenant, ""), "", where)
        if found:
            partitions.append([Partition(tenant, name) for name in found[:limit]])
        if len(partitions) == limit:
            break
    cursor.keep(tenants)
    in_turn = [
        partition
        for one_of_each in zip_longest(*partitions)
        for partition in one_of_each
        if partition
    ]
    return in_turn[:limit]


def _from(
    conn: Connection, statement: TextClause, after: T, first: T, where: Mapping[str, object]
) -> list[T]:
    """The values behind `after`, and then those from the first one up to it."""
    behind = conn.execute(statement, {**where, "after": after}).scalars().all()
    before = conn.execute(statement, {**where, "after": first}).scalars().all()
    return list(dict.fromkeys((*behind, *before)))


def lock(conn: Connection, partitions: Sequence[Partition], overdue: set[int]) -> list[Partition]:
    """Lock tenants before their jobs are taken; answers the partitions of those locked.

    Those that another transaction is writing are left out, except the `overdue` ones: they
    are waited for. So is the one whose turn it is, if there would be none otherwise.
    """
    tenants = _tenants(partitions)
    locked = _lock(conn, tenants, overdue) or _lock(conn, tenants, {partitions[0].tenant})
    return [partition for partition in partitions if partition.tenant in locked]


def _lock(conn: Connection, tenants: set[int], overdue: set[int]) -> set[int]:
    # Waiting comes first: with later tenants locked already, it could end in a deadlock.
    waited_for = lock_tenants(conn, overdue)
    return waited_for | lock_tenants(conn, tenants - overdue, wait=False)


def _tenants(partitions: Iterable[Partition]) -> set[int]:
    return {partition.tenant for partition in partitions}

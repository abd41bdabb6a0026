"""The queue: which documents wait, which worker has them, and until when.

A job is due when the wall clock has come to `due_time`. One that waits for nothing has
its revision there: it is due whatever the clock says, in order of writing. One that is
to be tried after a pause has an instant, and one that is held has what no clock comes
to: whether its worker is alive is judged by `leases`. A newer write replaces the job,
and with it the lease: its holder finds neither its revision nor its name when it
finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, NamedTuple

from sqlalchemy import (
    CompoundSelect,
    Connection,
    bindparam,
    case,
    func,
    literal_column,
    select,
    union_all,
    update,
)

from service.core.model import ContentKind, Status, decoded
from service.ports.processing import Job, Work
from service.storage.documents.chunks import load_chunks
from service.storage.documents.rows import WITH_CONTENT
from service.storage.processing.leases import PutOff, put_off
from service.storage.processing.turns import NO_PARTITION, Partition, first_tenants
from service.storage.tables import document_contents, documents, jobs
from service.storage.transactions import Mutation, Outcome, TenantTx, lock_tenants, pad_in_list

_WAITING = (
    select(jobs.c.holder, jobs.c.revision)
    .where(jobs.c.tenant == bindparam("t"))
    .limit(bindparam("n"))
    .subquery()
)
_DEPTH = select(
    func.count(),
    func.count(_WAITING.c.holder),
    func.min(case((_WAITING.c.holder.is_(None), _WAITING.c.revision))),
    func.min(case((_WAITING.c.holder.is_not(None), _WAITING.c.revision))),
)
_WRITTEN = select(documents.c.update_time).where(
    documents.c.tenant == bindparam("t"), documents.c.revision == bindparam("revision")
)

MOST_COUNTED = 100_000
"""Documents that `depth` counts; of more it says that there are so many."""

SHARE = 16
"""Documents one partition gives before the next has its turn."""

STRIDES = (1, 4, 16, 64)
"""Partitions read by one statement, and by the next: what one partition has may be enough."""


@lru_cache(maxsize=len(STRIDES))
def _due_of(count: int) -> CompoundSelect[Any]:
    """The first documents that are due of each of so many partitions, with its number."""
    return union_all(
        *(
            select(
                select(
                    literal_column(str(number)).label("number"),
                    jobs.c.document_id,
                    jobs.c.revision,
                    jobs.c.attempts,
                )
                .where(
                    jobs.c.tenant == bindparam(f"t{number}"),
                    jobs.c.lane == bindparam(f"lane{number}"),
                    jobs.c.due_time <= bindparam("now"),
                )
                .order_by(jobs.c.due_time)
                .limit(bindparam("most"))
                .subquery()
            )
            for number in range(count)
        )
    )


_TAKE = (
    update(jobs)
    .where(
        jobs.c.tenant == bindparam("t"),
        jobs.c.document_id.in_(bindparam("names", expanding=True)),
        # Another process may have taken it since it was read.
        jobs.c.due_time <= bindparam("now"),
    )
    .values(
        due_time=bindparam("to_due"), holder=bindparam("to_holder"), attempts=jobs.c.attempts + 1
    )
    .returning(jobs.c.document_id, jobs.c.revision)
)
_MINE = (
    jobs.c.tenant == bindparam("t"),
    jobs.c.document_id == bindparam("document"),
    jobs.c.revision == bindparam("of_revision"),
    jobs.c.holder == bindparam("held_by"),
)
_RENEW = update(jobs).where(*_MINE).values(due_time=bindparam("to_due"))
_RELEASE = (
    update(jobs)
    .where(*_MINE)
    .values(due_time=jobs.c.revision, holder=None, attempts=jobs.c.attempts - 1)
)
_FREE = (
    update(jobs)
    .where(
        jobs.c.tenant == bindparam("t"),
        jobs.c.document_id.in_(bindparam("names", expanding=True)),
    )
    .values(due_time=jobs.c.revision, holder=None)
)
# A newer write's job has no holder, so that its QUEUED is never written over.
_ENTER = (
    update(documents)
    .where(
        documents.c.tenant == bindparam("t"),
        documents.c.id.in_(
            select(jobs.c.document_id).where(
                jobs.c.tenant == bindparam("t"),
                jobs.c.document_id.in_(bindparam("names", expanding=True)),
                jobs.c.holder == bindparam("held_by"),
            )
        ),
    )
    .values(status=bindparam("to_status"))
)
_SIZES = select(
    document_contents.c.document_id, func.length(document_contents.c.content).label("size")
).where(
    document_contents.c.tenant == bindparam("t"),
    document_contents.c.document_id.in_(bindparam("names", expanding=True)),
)
_WORK = (
    select(
        documents.c.id,
        documents.c.revision,
        documents.c.kind,
        documents.c.title,
        documents.c.document_date,
        document_contents.c.content,
    )
    .select_from(WITH_CONTENT)
    .where(
        documents.c.tenant == bindparam("t"),
        documents.c.id.in_(bindparam("names", expanding=True)),
    )
)


def take(
    conn: Connection,
    partitions: Sequence[Partition],
    holder: str,
    limit: int,
    now: int,
    stamped: int,
) -> tuple[list[Job], list[Partition]]:
    """Take jobs under a lease so `stamped`; also says which partitions have had their turn.

    The partitions are of tenants that are locked.
    """
    share: dict[Partition, Sequence[Any]] = {}
    left = limit
    rest = partitions
    for size in chain(STRIDES, repeat(STRIDES[-1])):
        if not rest or not left:
            break
        part, rest = rest[:size], rest[size:]
        for partition, rows in zip(
            part, _due(conn, part, size, now, min(SHARE, left)), strict=False
        ):
            if left:
                share[partition] = rows[:left]
                left -= len(share[partition])
    served = list(share)
    for partition, rows in share.items():
        if left and len(rows) == SHARE:
            (more,) = _due(conn, [partition], 1, now, SHARE + left)
            share[partition] = more
            left -= len(more) - SHARE
    taken = [
        Job(partition.tenant, document_id, revision, holder, attempts + 1)
        for partition, rows in share.items()
        for _, document_id, revision, attempts in rows
    ]
    mine: set[tuple[int, str, int]] = set()
    # In a fixed order, so that two claims do not wait for each other.
    for tenant, wanted in sorted(by_tenant(taken).items()):
        where = {"t": tenant, "names": pad_in_list(sorted(wanted)), "now": now}
        got = conn.execute(_TAKE, {**where, "to_due": stamped, "to_holder": holder})
        mine.update((tenant, row.document_id, row.revision) for row in got)
    taken = [job for job in taken if (job.tenant, job.document_id, job.revision) in mine]
    enter(conn, taken, Status.EXTRACTING)
    return taken, served


def _due(
    conn: Connection, partitions: Sequence[Partition], size: int, now: int, most: int
) -> Sequence[Sequence[Any]]:
    """Up to `most` jobs of each of up to `size` partitions, and no jobs of those that lack."""
    where: dict[str, object] = {"now": now, "most": most}
    for number in range(size):
        partition = partitions[number] if number < len(partitions) else NO_PARTITION
        where |= {f"t{number}": partition.tenant, f"lane{number}": partition.name}
    found: list[list[Any]] = [[] for _ in range(size)]
    for row in conn.execute(_due_of(size), where).all():
        found[row.number].append(row)
    return found


def enter(conn: Connection, held: Sequence[Job], status: Status) -> None:
    """Record the stage that the documents of jobs have reached, as far as they are still held."""
    names: dict[tuple[int, str], list[str]] = {}
    for job in held:
        names.setdefault((job.tenant, job.holder), []).append(job.document_id)
    for (tenant, holder), mine in sorted(names.items()):
        where = {"t": tenant, "names": pad_in_list(mine), "held_by": holder}
        conn.execute(_ENTER, {**where, "to_status": int(status)})


def enter_stage(
    tx: TenantTx, mutations: Sequence[Mutation[tuple[Sequence[Job], Status]]]
) -> Sequence[Outcome[None]]:
    """Of jobs of the tenant, and the stage they have reached."""
    for mutation in mutations:
        held, status = mutation.payload
        enter(tx.conn, held, status)
    return [None] * len(mutations)


def by_tenant(held: Sequence[Job]) -> dict[int, dict[str, Job]]:
    """The jobs by tenant and document id."""
    found: dict[int, dict[str, Job]] = {}
    for job in held:
        found.setdefault(job.tenant, {})[job.document_id] = job
    return found


def renew(conn: Connection, held: Sequence[Job], stamped: int) -> None:
    lock_tenants(conn, (job.tenant for job in held))
    conn.execute(_RENEW, [{**_named(job), "to_due": stamped} for job in _ordered(held)])


def release(conn: Connection, held: Sequence[Job]) -> None:
    lock_tenants(conn, (job.tenant for job in held))
    enter(conn, held, Status.QUEUED)
    conn.execute(_RELEASE, [_named(job) for job in _ordered(held)])


def free(conn: Connection, lapsed: Sequence[PutOff], now: int) -> None:
    """Make jobs due at once, but for those that were renewed or finished meanwhile."""
    lock_tenants(conn, (one.tenant for one in lapsed))
    still = set(lapsed).intersection(put_off(conn, now))
    held = [Job(one.tenant, one.document_id, one.revision, one.holder or "", 0) for one in still]
    enter(conn, held, Status.QUEUED)
    names: dict[int, list[str]] = {}
    for job in held:
        names.setdefault(job.tenant, []).append(job.document_id)
    for tenant, mine in sorted(names.items()):
        conn.execute(_FREE, {"t": tenant, "names": pad_in_list(mine)})


def _ordered(held: Sequence[Job]) -> list[Job]:
    """In a fixed order, so that two transactions do not wait for each other."""
    return sorted(held, key=lambda job: (job.tenant, job.document_id))


def _named(job: Job) -> dict[str, object]:
    return {
        "t": job.tenant,
        "document": job.document_id,
        "of_revision": job.revision,
        "held_by": job.holder,
    }


def _within(conn: Connection, held: Sequence[Job], most: int) -> tuple[list[Job], list[Job]]:
    """The jobs whose contents have `most` bytes together, one at least; and the others."""
    sizes: dict[tuple[int, str], int] = {}
    for tenant, mine in by_tenant(held).items():
        found = conn.execute(_SIZES, {"t": tenant, "names": pad_in_list(mine)}).all()
        sizes.update({(tenant, document_id): size for document_id, size in found})
    kept: list[Job] = []
    rest: list[Job] = []
    for job in held:
        most -= sizes.get((job.tenant, job.document_id), 0)
        (kept if most >= 0 or not kept else rest).append(job)
    return kept, rest


def load_work(conn: Connection, held: Sequence[Job], most: int) -> tuple[list[Work], list[Job]]:
    """What there is to do for each job that no newer write has replaced since.

    Of `most` bytes of content together, but for one job at least; the jobs that
    find no room are answered too.
    """
    found: list[Work] = []
    kept, rest = _within(conn, held, most)
    for tenant, mine in by_tenant(kept).items():
        chunks = load_chunks(conn, tenant, mine)
        rows = conn.execute(_WORK, {"t": tenant, "names": pad_in_list(mine)}).all()
        for document_id, revision, kind, title, document_date, content in rows:
            job = mine[document_id]
            if revision == job.revision:
                before = chunks.get(document_id, [])
                what = ContentKind(kind)
                found.append(Work(job, what, decoded(what, content), title, document_date, before))
    return found, rest


class Depth(NamedTuple):
    """How much is in the queue, MOST_COUNTED documents at most.

    Args:
        waiting: Documents that no worker has.
        held: Documents that a worker has.
        waiting_since: When the oldest of those that wait was written; None: none does.
        held_since: The same of those that a worker has.
    """

    waiting: int = 0
    held: int = 0
    waiting_since: int | None = None
    held_since: int | None = None


def depth(conn: Connection) -> Depth:
    every = held = 0
    since: tuple[list[int], list[int]] = ([], [])
    for tenant in first_tenants(conn):
        row = conn.execute(_DEPTH, {"t": tenant, "n": MOST_COUNTED - every}).one()
        every, held = every + row[0], held + row[1]
        for times, revision in zip(since, row[2:], strict=True):
            if revision is not None:
                where = {"t": tenant, "revision": revision}
                times.extend(conn.execute(_WRITTEN, where).scalars())
        if every == MOST_COUNTED:
            break
    waiting_since, held_since = (min(times, default=None) for times in since)
    return Depth(every - held, held, waiting_since, held_since)

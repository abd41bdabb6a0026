"""The queue: which documents wait, who has them, and until when.

A job is due at `due_time`. Taking it moves that to the end of a lease, so that
a worker that dies gives it back by doing nothing; a pause before another try is
the same. A newer write replaces the job, and with it the lease: who held it
finds neither its revision nor its name when it comes to finish.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, tuple_, update

from service.core.model import ContentKind, Status
from service.core.processing import Job, Work
from service.storage.chunks import load_chunks
from service.storage.tables import document_contents, documents, jobs
from service.storage.transactions import Call, Outcome, TenantTx, padded

SHARE = 16
"""Documents one lane gives before the next has its turn."""

MAX_LANES = 64
"""Lanes looked at for one claim."""


class Lane(NamedTuple):
    """A container of a tenant, as the queue sees it."""

    tenant: int
    name: str


FIRST = Lane(0, "")

_LANE = tuple_(jobs.c.tenant, jobs.c.lane)
_NEXT_LANE = (
    select(jobs.c.tenant, jobs.c.lane)
    .where(tuple_(bindparam("t"), bindparam("in_lane")) < _LANE)
    .order_by(jobs.c.tenant, jobs.c.lane)
    .limit(1)
)
_DUE = (
    select(jobs.c.document_id, jobs.c.revision, jobs.c.attempts)
    .where(
        jobs.c.tenant == bindparam("t"),
        jobs.c.lane == bindparam("in_lane"),
        jobs.c.due_time <= bindparam("now"),
    )
    .order_by(jobs.c.due_time)
    .limit(bindparam("most"))
)
_TAKE = (
    update(jobs)
    .where(
        jobs.c.tenant == bindparam("t"),
        jobs.c.document_id.in_(bindparam("names", expanding=True)),
    )
    .values(
        due_time=bindparam("to_due"), holder=bindparam("to_holder"), attempts=jobs.c.attempts + 1
    )
)
_HELD = (
    jobs.c.tenant == bindparam("t"),
    jobs.c.document_id == bindparam("document"),
    jobs.c.revision == bindparam("of_revision"),
    jobs.c.holder == bindparam("held_by"),
)
_RENEW = update(jobs).where(*_HELD).values(due_time=bindparam("to_due"))
_RELEASE = (
    update(jobs)
    .where(*_HELD)
    .values(due_time=bindparam("to_due"), holder=None, attempts=jobs.c.attempts - 1)
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
_WORK = (
    select(
        documents.c.id,
        documents.c.revision,
        documents.c.kind,
        documents.c.title,
        documents.c.document_date,
        document_contents.c.content,
    )
    .select_from(
        documents.join(
            document_contents,
            (document_contents.c.tenant == documents.c.tenant)
            & (document_contents.c.document_id == documents.c.id),
        )
    )
    .where(
        documents.c.tenant == bindparam("t"),
        documents.c.id.in_(bindparam("names", expanding=True)),
    )
)


def claim(
    conn: Connection, holder: str, limit: int, after: Lane, now: int, until: int
) -> tuple[list[Job], Lane]:
    """Take jobs for a lease until `until`; lanes after `after` come first.

    Returns:
        The jobs, and the lane to go on behind the next time.
    """
    share: dict[Lane, Sequence[Any]] = {}
    left, last = limit, after
    for lane in _lanes(conn, after):
        share[lane] = _due(conn, lane, now, min(SHARE, left))
        left -= len(share[lane])
        last = lane
        if not left:
            break
    for lane, rows in share.items():
        if left and len(rows) == SHARE:
            share[lane] = _due(conn, lane, now, SHARE + left)
            left -= len(share[lane]) - SHARE
    taken = [
        Job(lane.tenant, row.document_id, row.revision, holder, row.attempts + 1)
        for lane, rows in share.items()
        for row in rows
    ]
    for tenant, mine in by_tenant(taken).items():
        where = {"t": tenant, "names": padded(mine), "to_due": until, "to_holder": holder}
        conn.execute(_TAKE, where)
    enter(conn, taken, Status.EXTRACTING)
    return taken, last


def _due(conn: Connection, lane: Lane, now: int, most: int) -> Sequence[Any]:
    where = {"t": lane.tenant, "in_lane": lane.name, "now": now, "most": most}
    return conn.execute(_DUE, where).all()


def _lanes(conn: Connection, after: Lane) -> Iterable[Lane]:
    """The lanes in turn, each once, beginning behind `after`."""
    lane, wrapped = after, False
    for _ in range(MAX_LANES):
        row = conn.execute(_NEXT_LANE, {"t": lane.tenant, "in_lane": lane.name}).first()
        if row is None:
            if wrapped:
                return
            lane, wrapped = FIRST, True
            continue
        lane = Lane(row.tenant, row.lane)
        if wrapped and lane > after:
            return
        yield lane


def enter(conn: Connection, held: Sequence[Job], status: Status) -> None:
    """Say what stage the documents of jobs have come to, as far as they are still held."""
    names: dict[tuple[int, str], list[str]] = {}
    for job in held:
        names.setdefault((job.tenant, job.holder), []).append(job.document_id)
    for (tenant, holder), mine in names.items():
        where = {"t": tenant, "names": padded(mine), "held_by": holder}
        conn.execute(_ENTER, {**where, "to_status": int(status)})


def enter_stage(tx: TenantTx, calls: Sequence[Call]) -> list[Outcome]:
    """Payload: jobs of the tenant, and the stage they have come to. Answers None."""
    for call in calls:
        held, status = call.payload
        enter(tx.conn, held, status)
    return [None] * len(calls)


def by_tenant(held: Sequence[Job]) -> dict[int, dict[str, Job]]:
    """The jobs by tenant and document id."""
    found: dict[int, dict[str, Job]] = {}
    for job in held:
        found.setdefault(job.tenant, {})[job.document_id] = job
    return found


def renew(conn: Connection, held: Sequence[Job], until: int) -> None:
    conn.execute(_RENEW, [{**_named(job), "held_by": job.holder, "to_due": until} for job in held])


def release(conn: Connection, held: Sequence[Job], now: int) -> None:
    enter(conn, held, Status.QUEUED)
    conn.execute(_RELEASE, [{**_named(job), "held_by": job.holder, "to_due": now} for job in held])


def _named(job: Job) -> dict[str, object]:
    return {"t": job.tenant, "document": job.document_id, "of_revision": job.revision}


def load_work(conn: Connection, held: Sequence[Job]) -> list[Work]:
    """What there is to do for each job that no newer write has replaced since."""
    found: list[Work] = []
    for tenant, mine in by_tenant(held).items():
        chunks = load_chunks(conn, tenant, mine)
        for row in conn.execute(_WORK, {"t": tenant, "names": padded(mine)}):
            job = mine[row.id]
            if row.revision == job.revision:
                found.append(
                    Work(
                        job,
                        ContentKind(row.kind),
                        str(row.content, "utf-8"),
                        row.title,
                        row.document_date,
                        chunks.get(row.id, []),
                    )
                )
    return found

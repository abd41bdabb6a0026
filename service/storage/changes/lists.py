"""Reading changes in commit order, in steps of a bounded number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from service.core.digests import Digester
from service.core.errors import PalimpsestError, Reason
from service.core.model import (
    INTERNAL_KINDS,
    Change,
    ChangeKind,
    ChangePage,
    ChangeQuery,
    Principal,
)
from service.storage.tables import api_keys, changes, tenants
from service.storage.transactions import SYSTEM_KEY_ID, pad_in_list

SLACK: Final = 64
"""Rows that the first step reads in addition to one for each change that is wanted."""

STEP: Final = 4_000
"""Rows that one step reads at most."""

MOST_ROWS: Final = 20_000
"""Rows after which a page ends, however few changes it has."""

MOST_BRANCHES: Final = 100
"""Containers that are read each by its own index entries; more are found among all changes."""

SHOWN: Final = frozenset(ChangeKind) - INTERNAL_KINDS

_STATE = select(tenants.c.revision, tenants.c.oldest_revision).where(
    tenants.c.tenant == bindparam("t")
)
_LATEST = select(tenants.c.revision).where(tenants.c.tenant == bindparam("t"))
_AFTER = select(
    changes.c.revision,
    changes.c.container,
    changes.c.kind,
    changes.c.entity_id,
    changes.c.time,
    changes.c.key_id,
    changes.c.request_id,
    changes.c.actor,
).where(changes.c.tenant == bindparam("t"), changes.c.revision > bindparam("after"))
_OF_ALL = _AFTER.order_by(changes.c.revision, changes.c.container).limit(bindparam("n"))
_UPTO = _AFTER.where(changes.c.revision <= bindparam("upto")).order_by(
    changes.c.revision, changes.c.container
)
_OF_ONE = (
    _AFTER.where(changes.c.container == bindparam("container"))
    .order_by(changes.c.revision)
    .limit(bindparam("n"))
)
_LABELS = select(api_keys.c.key_id, api_keys.c.label).where(
    api_keys.c.tenant == bindparam("t"), api_keys.c.key_id.in_(bindparam("ids", expanding=True))
)


class _Step(NamedTuple):
    """Rows in the order of their revisions: all that there are up to `revision`."""

    rows: Sequence[Any]
    revision: int
    read: int
    """How many rows were read for it."""


def list_changes(
    conn: Connection, digester: Digester, principal: Principal, query: ChangeQuery
) -> ChangePage:
    """A page; raises REVISION_GONE and REVISION_AHEAD."""
    latest, oldest = conn.execute(_STATE, {"t": principal.tenant}).one()
    if query.after > latest:
        raise revision_ahead(latest)
    if query.after < oldest - 1:
        raise revision_gone(oldest)
    names = _names(digester, principal, query)
    kinds = frozenset(kind.value for kind in (query.kinds & SHOWN if query.kinds else SHOWN))
    found: list[Change] = []
    after = query.after
    left, room = MOST_ROWS, query.most_bytes
    size = min(query.size + SLACK, STEP)
    while after < latest and left > 0 and room > 0 and len(found) < query.size:
        if names is not None and len(names) <= 2 * MOST_BRANCHES:
            step = _of_each(conn, principal.tenant, names, after, size, latest)
        else:
            step = _of_all(conn, principal.tenant, after, size, latest)
        left -= step.read
        after = step.revision
        for change in _changes(step.rows, kinds, names):
            if len(found) == query.size or room <= 0:
                after = found[-1].revision
                break
            found.append(change)
            room -= change.size
        size = min(size * 4, STEP)
    _label(conn, principal.tenant, found)
    return ChangePage(found, after, latest, oldest)


def latest_revision(conn: Connection, tenant: int) -> int:
    """The last revision that the tenant has committed."""
    return int(conn.execute(_LATEST, {"t": tenant}).scalar_one())


def _names(digester: Digester, principal: Principal, query: ChangeQuery) -> dict[str, str] | None:
    """What stands for the containers that are asked for, each with its tag; None: all.

    Changes of a container that was deleted have a digest of its tag.
    """
    tags: Iterable[str] | None = query.containers or principal.containers
    if tags is None:
        return None
    names = {tag: tag for tag in sorted(set(tags))}
    return names | {digester.tag(principal.tenant, tag): tag for tag in names}


def _of_all(conn: Connection, tenant: int, after: int, size: int, latest: int) -> _Step:
    """The next `size` rows, whatever they are about."""
    where = {"t": tenant, "after": after}
    rows = conn.execute(_OF_ALL, {**where, "n": size}).all()
    if len(rows) < size:
        return _Step(rows, latest, len(rows) + 1)
    # The last revision may have further rows.
    last: int = rows[-1].revision
    if rows[0].revision == last:
        rows = conn.execute(_UPTO, {**where, "upto": last}).all()
        return _Step(rows, last, 2 * len(rows))
    return _Step([row for row in rows if row.revision < last], last - 1, size)


def _of_each(
    conn: Connection, tenant: int, names: Iterable[str], after: int, size: int, latest: int
) -> _Step:
    """Rows of containers, as far as those of every one of them are known."""
    names = tuple(names)
    each = max(size // len(names), 16)
    upto = latest
    found: list[Any] = []
    for name in names:
        where = {"t": tenant, "after": after, "n": each, "container": name}
        rows = conn.execute(_OF_ONE, where).all()
        if len(rows) == each:
            upto = min(upto, rows[-1].revision)
        found += rows
    rows = [row for row in found if row.revision <= upto]
    rows.sort(key=lambda row: (row.revision, row.container))
    return _Step(rows, upto, len(found) + len(names))


def _changes(
    rows: Iterable[Any], kinds: frozenset[str], names: Mapping[str, str] | None
) -> Iterable[Change]:
    """One change for each revision, of the rows that are asked for."""
    change: Change | None = None
    for revision, container, kind, entity_id, time, key_id, request_id, actor in rows:
        if kind not in kinds or (names is not None and container not in names):
            continue
        tag = container if names is None else names[container]
        if change is not None and change.revision == revision:
            change.containers.append(tag)
            continue
        if change is not None:
            yield change
        if kind == ChangeKind.CONTAINER_DELETED:
            entity_id = tag  # noqa: PLW2901  (it is a digest, too)
        key_id = "" if key_id == SYSTEM_KEY_ID else key_id  # noqa: PLW2901
        change = Change(
            revision,
            ChangeKind(kind),
            entity_id,
            [tag],
            time,
            key_id,
            "",
            request_id or "",
            actor or "",
        )
    if change is not None:
        yield change


def _label(conn: Connection, tenant: int, found: Iterable[Change]) -> None:
    """Set the labels of the keys."""
    ids = {change.key_id for change in found if change.key_id}
    if not ids:
        return
    where = {"t": tenant, "ids": pad_in_list(sorted(ids))}
    labels: dict[str, str] = {row.key_id: row.label for row in conn.execute(_LABELS, where)}
    for change in found:
        change.key_label = labels.get(change.key_id, "")


def revision_gone(oldest: int) -> PalimpsestError:
    return PalimpsestError(
        Reason.REVISION_GONE,
        f"Changes are kept from revision {oldest} on: read the lists, and go on from there",
        metadata={"oldest_revision": str(oldest)},
    )


def revision_ahead(latest: int) -> PalimpsestError:
    return PalimpsestError(
        Reason.REVISION_AHEAD,
        f"The last revision is {latest}: after_revision is of another database, or of a later "
        "state of this one",
        metadata={"latest_revision": str(latest)},
    )

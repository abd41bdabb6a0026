"""Finding documents by what callers call them: an id, or a custom id and perhaps its home."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    BindParameter,
    Connection,
    CursorResult,
    Executable,
    TextClause,
    bindparam,
    select,
    text,
    union,
)

from service.core import ids
from service.core.documents import NAMED, ambiguous_custom_id
from service.core.errors import PalimpsestError
from service.core.model import Principal
from service.storage import dialects
from service.storage.tables import documents, shared_custom_ids
from service.storage.transactions import pad_in_list


class Name(NamedTuple):
    """What a caller calls a document.

    Attributes:
        text: An id or a custom id.
        home: Of a custom id its home, of an id one of its containers (see `is_in`); empty:
            not said.
        visible: The containers of the key, where a custom id comes without a home; None: all.
    """

    text: str
    home: str = ""
    visible: frozenset[str] | None = None


def is_in(name: Name, containers: Sequence[str]) -> bool:
    """Whether a document that was found is in the container that the name says."""
    return not name.home or name.home in containers


def name_of(principal: Principal, text: str, home: str = "") -> Name:
    """What `text` and `home` mean in a call with this key."""
    unsaid = not home and not ids.is_document_id(text)
    return Name(text, home, principal.containers if unsaid else None)


Found: TypeAlias = dict[Name, str | PalimpsestError]
"""The id of the document, or AMBIGUOUS_CUSTOM_ID; a name of no document is left out."""

_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_VISIBLE: BindParameter[str] = bindparam("visible", expanding=True)
_MOST: BindParameter[int] = bindparam("most")

_OF_TENANT = (
    select(documents.c.id, documents.c.custom_id)
    .where(documents.c.tenant == bindparam("t"), documents.c.custom_id.in_(_NAMES))
    .limit(_MOST)
)
_OF_KEY = union(
    select(documents.c.id, documents.c.custom_id).where(
        documents.c.tenant == bindparam("t"),
        documents.c.custom_id.in_(_NAMES),
        documents.c.home.in_(_VISIBLE),
    ),
    select(shared_custom_ids.c.document_id, shared_custom_ids.c.custom_id).where(
        shared_custom_ids.c.tenant == bindparam("t"),
        shared_custom_ids.c.custom_id.in_(_NAMES),
        shared_custom_ids.c.container.in_(_VISIBLE),
    ),
).limit(_MOST)

_SPARE: Final = 32
"""Rows read in addition to one for each custom id: there are more where many have one."""


def find(conn: Connection, tenant: int, names: Iterable[Name]) -> Found:
    """The ids of the documents with these names. An id is its own, whatever it is of.

    A few statements, however many names there are and however many homes have one of them.
    """
    found: Found = {}
    at_home: list[Name] = []
    anywhere: dict[frozenset[str] | None, set[str]] = defaultdict(set)
    for name in set(names):
        if not ids.is_document_id(name.text):
            if name.home:
                at_home.append(name)
            else:
                anywhere[name.visible].add(name.text)
        else:
            found[name] = name.text
    if at_home:
        for row in _rows_at_home(conn, tenant, at_home):
            found[Name(row.custom_id, row.home)] = row.id
    for visible, custom_ids in anywhere.items():
        for custom_id, having in _visible(conn, tenant, visible, sorted(custom_ids)):
            only = having[0] if len(having) == 1 else ambiguous_custom_id(custom_id, having)
            found[Name(custom_id, "", visible)] = only
    return found


def _rows_at_home(conn: Connection, tenant: int, names: Sequence[Name]) -> CursorResult[Any]:
    if dialects.is_remote(conn):
        arrays = {"custom_ids": [name.text for name in names], "homes": [n.home for n in names]}
        return conn.execute(_AT_HOMES, {"t": tenant, **arrays})
    wanted = pad_in_list(names)
    values = {f"custom_id_{number}": name.text for number, name in enumerate(wanted)}
    values |= {f"home_{number}": name.home for number, name in enumerate(wanted)}
    return conn.execute(_at_home(len(wanted)), {"t": tenant, **values})


_AT_HOMES = text(
    "SELECT documents.id, documents.custom_id, documents.home"
    " FROM unnest(CAST(:custom_ids AS text[]), CAST(:homes AS text[])) AS wanted (custom_id, home)"
    " JOIN documents ON documents.tenant = :t AND documents.custom_id = wanted.custom_id"
    " AND documents.home = wanted.home"
)


@cache
def _at_home(count: int) -> TextClause:
    """So many pairs of custom id and home. A list of pairs alone would not be looked up in the
    index, as one that is selected from is."""
    pairs = ", ".join(f"(:custom_id_{number}, :home_{number})" for number in range(count))
    return text(
        "SELECT id, custom_id, home FROM documents WHERE tenant = :t"  # noqa: S608  (no values)
        f" AND (custom_id, home) IN (SELECT * FROM (VALUES {pairs}) AS wanted)"
    )


def _visible(
    conn: Connection, tenant: int, visible: frozenset[str] | None, custom_ids: Sequence[str]
) -> Iterator[tuple[str, Sequence[str]]]:
    """Each custom id that a document in the containers has, with the ids of those documents.

    Of many, NAMED and one more.
    """
    statement: Executable = _OF_TENANT
    values: dict[str, object] = {"t": tenant}
    if visible is not None:
        statement, values["visible"] = _OF_KEY, sorted(visible)

    def having(some: Sequence[str], most: int) -> dict[str, list[str]]:
        given = {**values, "names": pad_in_list(some), "most": most}
        by_custom_id: dict[str, list[str]] = defaultdict(list)
        for document_id, custom_id in conn.execute(statement, given):
            by_custom_id[custom_id].append(document_id)
        return by_custom_id

    most = len(custom_ids) + _SPARE
    together = having(custom_ids, most)
    if sum(map(len, together.values())) < most:
        yield from together.items()
        return
    # Some have so many documents that they left no room for the others.
    for custom_id in custom_ids:
        yield from having([custom_id], NAMED + 1).items()

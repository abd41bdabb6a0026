"""Vector spaces: each embedder's vectors are in one of their own, known by a number."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from service.storage import dialects
from service.storage.tables import embedders

_NUMBER = select(embedders.c.id).where(embedders.c.name == bindparam("of_name"))


def known(conn: Connection, name: str) -> int | None:
    """The number of an embedder's space; None: it has none yet."""
    return conn.execute(_NUMBER, {"of_name": name}).scalar()


def ensure(conn: Connection, name: str, dimension: int) -> int:
    """The number of an embedder's space, which is added if it is new."""
    row = {"name": name, "dimension": dimension}
    conn.execute(dialects.insert_if_missing(conn, embedders), row)
    number: int = conn.execute(_NUMBER, {"of_name": name}).scalar_one()
    return number

"""A current database with the schema of an older release."""

from __future__ import annotations

from sqlalchemy import Connection, text

_INDEXED_BY_SPACE = {
    "chunks": "embedder, tenant, document_id, position",
    "memories": "embedder, tenant, id",
}


def set_back(conn: Connection, version: str) -> None:
    """Undo what the migrations since 0006 did, and say that the schema is `version`."""
    conn.execute(text("ALTER TABLE chunks DROP COLUMN utc_offset"))
    for table, columns in _INDEXED_BY_SPACE.items():
        conn.execute(text(f"DROP INDEX ix_{table}_indexed"))
        conn.execute(text(f"CREATE INDEX ix_{table}_embedder ON {table} ({columns})"))
    conn.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})

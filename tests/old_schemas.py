"""A current database with the schema of an older release."""

from __future__ import annotations

from sqlalchemy import Connection, text

_INDEXED_BY_SPACE = {
    "chunks": "embedder, tenant, document_id, position",
    "memories": "embedder, tenant, id",
}


_DOCUMENTS = """
    CREATE TABLE documents_old (
      tenant INTEGER NOT NULL,
      id VARCHAR(40) NOT NULL,
      custom_id VARCHAR(100),
      content_hash BLOB NOT NULL,
      metadata TEXT NOT NULL,
      comparable TEXT NOT NULL,
      containers TEXT NOT NULL,
      title TEXT NOT NULL,
      document_date BIGINT,
      status SMALLINT NOT NULL,
      etag VARCHAR(40) NOT NULL,
      revision BIGINT NOT NULL,
      create_time BIGINT NOT NULL,
      update_time BIGINT NOT NULL,
      error TEXT DEFAULT '' NOT NULL,
      attempts INTEGER DEFAULT 0 NOT NULL,
      kind SMALLINT DEFAULT 1 NOT NULL,
      CONSTRAINT pk_documents PRIMARY KEY (tenant, id),
      CONSTRAINT uq_documents_tenant_custom_id UNIQUE (tenant, custom_id)
    )"""
_COLUMNS = (
    "tenant, id, custom_id, content_hash, metadata, comparable, containers, title, document_date,"
    " status, etag, revision, create_time, update_time, error, attempts, kind"
)


def _without_homes(conn: Connection) -> None:
    """Custom ids are unique in the tenant; they have to be, to be set back."""
    conn.execute(text("DROP TABLE shared_custom_ids"))
    conn.execute(text(_DOCUMENTS))
    copied = f"INSERT INTO documents_old ({_COLUMNS}) SELECT {_COLUMNS} FROM documents"
    conn.execute(text(f"/* every document */ {copied}"))
    conn.execute(text("DROP TABLE documents"))
    conn.execute(text("ALTER TABLE documents_old RENAME TO documents"))
    conn.execute(text("CREATE INDEX ix_documents_tenant_revision ON documents (tenant, revision)"))


def set_back(conn: Connection, version: str) -> None:
    """Undo what the migrations since then did, and say that it is `version`.

    What those up to 0006 did is left to the caller, and 0009 is no version to go back to.
    """
    for table in ("changes", "memories"):
        conn.execute(text(f"ALTER TABLE {table} DROP COLUMN actor"))
    if version == "0011":
        conn.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
        return
    conn.execute(text("DROP TABLE webhooks"))
    _without_homes(conn)
    if version == "0008":
        conn.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
        return
    conn.execute(text("ALTER TABLE chunks DROP COLUMN utc_offset"))
    for table, columns in _INDEXED_BY_SPACE.items():
        conn.execute(text(f"DROP INDEX ix_{table}_indexed"))
        conn.execute(text(f"CREATE INDEX ix_{table}_embedder ON {table} ({columns})"))
    conn.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})

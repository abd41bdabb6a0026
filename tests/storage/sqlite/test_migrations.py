"""Migrating an old database and making a new one must come to the same schema."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from service.storage import schema
from service.storage.sqlite.connections import open_sync, transact
from tests.old_schemas import set_back


def _schema(conn: Connection) -> set[str]:
    rows = conn.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL "
        " AND tbl_name NOT IN ('alembic_version', 'sqlite_stat1')"
    )
    return {" ".join(row.sql.replace('"', "").split()) for row in rows}


def test_migrations_make_the_same_schema_as_a_fresh_database(tmp_path: Path) -> None:
    with open_sync(tmp_path / "fresh.db") as conn:
        transact(conn, schema.bring_up)
        fresh = _schema(conn)
    with open_sync(tmp_path / "migrated.db") as conn:
        conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        transact(conn, schema._migrate)
        migrated = _schema(conn)
        assert schema.version(conn) == schema.HEAD
    assert migrated == fresh
    assert len(fresh) > 20


def test_documents_that_waited_are_due_after_the_upgrade(tmp_path: Path) -> None:
    add = text(
        "INSERT INTO jobs (tenant, document_id, revision, due_time, holder, attempts)"
        " VALUES (1, :name, 7, 1800000000000000, :holder, :attempts)"
    )
    with open_sync(tmp_path / "a.db") as conn:
        transact(conn, schema.bring_up)
        for name, holder, attempts in (("fresh", None, 0), ("paused", None, 2), ("held", "w", 1)):
            conn.execute(add, {"name": name, "holder": holder, "attempts": attempts})
        conn.execute(text("DROP INDEX ix_jobs_put_off"))
        set_back(conn, "0004")
        transact(conn, schema.bring_up)
        rows = conn.execute(text("/* look */ SELECT document_id, due_time FROM jobs"))
        due = {row.document_id: row.due_time for row in rows}
    later = 1_800_000_000_000_000
    assert due == {"fresh": 7, "paused": later, "held": later}


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    with open_sync(tmp_path / "a.db") as conn:
        assert transact(conn, schema.bring_up) == (None, schema.HEAD)
        secret = schema.digest_secret(conn)
        assert transact(conn, schema.bring_up) == (schema.HEAD, schema.HEAD)
        assert schema.digest_secret(conn) == secret


def test_a_database_of_a_newer_release_is_refused_untouched(tmp_path: Path) -> None:
    with open_sync(tmp_path / "a.db") as conn:
        transact(conn, schema.bring_up)
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(schema.SchemaTooNewError, match="9999"):
            transact(conn, schema.bring_up)
        assert schema.version(conn) == "9999"

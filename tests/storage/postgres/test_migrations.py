"""A database of an earlier release is brought to the schema of this one."""

from __future__ import annotations

import pytest

from service.storage import opening
from service.storage.schema import HEAD, SchemaTooNewError
from tests.backends.base import Backend

_COLUMNS = """SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = current_schema() ORDER BY table_name, column_name"""


def test_an_older_schema_is_migrated(backend: Backend) -> None:
    before = backend.rows(_COLUMNS)
    for table in ("changes", "memories"):
        backend.execute(f"ALTER TABLE {table} DROP COLUMN actor")
    backend.execute("UPDATE alembic_version SET version_num = '0011'")
    database = opening.administration(backend.location)
    assert database.migrate() == ("0011", HEAD)
    assert database.migrate() == (HEAD, HEAD)
    assert backend.rows(_COLUMNS) == before
    assert backend.check() == []


def test_a_newer_schema_is_refused(backend: Backend) -> None:
    backend.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNewError):
        opening.administration(backend.location).migrate()

"""`check` tells damage of every kind from health."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from service import cli
from service.core.digests import Digester
from service.storage import checksums, schema, tables
from service.storage.sqlite.administration import SqliteAdministration
from service.storage.sqlite.connections import open_sync
from service.storage.sqlite.damage import SqliteSteps
from service.storage.sqlite.read_only import open_untouched
from service.storage.steps import HEARTBEAT_SECONDS
from tests.damage.conftest import EVENT, TEXTS
from tests.damage.planting import PAGE, age, check, flip, places, root_page, truncate, zero


def run_check(data: Path) -> Result:
    return CliRunner().invoke(cli.main, ["check", "--data-dir", str(data)])


def expect_findings(data: Path) -> str:
    done = run_check(data)
    assert done.exit_code == cli.FINDINGS, (done.exit_code, done.output, done.exception)
    assert done.stdout.strip()
    for words in ("Traceback", "malformed", "sqlite3", "DatabaseError", "OperationalError"):
        assert words not in done.output
    return done.output


def test_what_the_service_wrote_is_well_and_left_as_it_is(data: Path, database: Path) -> None:
    before = database.read_bytes()
    done = run_check(data)
    assert (done.exit_code, done.stdout) == (0, "All is well.\n")
    assert database.read_bytes() == before


@pytest.mark.parametrize("name", TEXTS)
def test_a_flipped_bit_in_any_copy_of_a_text_is_found(database: Path, name: str) -> None:
    value = TEXTS[name].encode()
    found = places(database, value)
    assert found
    for place in found:
        for bit in (1, 0x20, 0x80):
            flip(database, place + 4, bit)
            assert check(database), (name, place, bit)
            flip(database, place + 4, bit)
    assert check(database) == []


def test_a_flipped_bit_in_a_date_is_found(database: Path) -> None:
    for place in places(database, EVENT.encode()):
        flip(database, place + 3)
        assert check(database)
        flip(database, place + 3)
    assert check(database) == []


def test_the_finding_names_the_row_and_what_of_it(database: Path) -> None:
    for place in places(database, TEXTS["content of a memory"].encode()):
        flip(database, place + 4)
    [finding] = [one for one in check(database) if one.startswith("damaged memory")]
    assert "mem_" in finding
    assert "content does not match its digest" in finding


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table, columns in checksums.COVERED.items() for column in columns],
)
def test_every_column_under_a_checksum_is_judged(database: Path, table: str, column: str) -> None:
    """Changed by a statement, so that pages and indexes fit together."""
    kind = tables.metadata.tables[table].c[column].type.python_type
    other = "x'77'" if kind is bytes else "'changed'" if kind is str else "77"
    with open_sync(database) as conn:
        where = "WHERE forget_reason <> ''" if table == "memory_spans" else ""
        conn.execute(text("PRAGMA foreign_keys=OFF"))
        conn.execute(text(f"/* break */ UPDATE OR IGNORE {table} SET {column} = {other} {where}"))
    names = {"memories": "memory", "chunks": "chunk", "api_keys": "key"}
    kind_of_row = names.get(table, "memory and its forgetting")
    assert any(one.startswith(f"damaged {kind_of_row}: ") for one in check(database))


@pytest.mark.parametrize("table", ["documents", "memories", "chunks", "changes"])
def test_a_zeroed_page_is_found(data: Path, database: Path, table: str) -> None:
    zero(database, root_page(database, table))
    assert "cannot be checked, a page is damaged" in expect_findings(data)


def test_damage_behind_a_page_that_ends_the_check_is_found_too(data: Path, database: Path) -> None:
    flip(database, root_page(database, "ix_changes_tenant_container_revision") * PAGE - 3, 4)
    zero(database, root_page(database, "chunks"))
    told = expect_findings(data)
    assert "integrity of chunks: cannot be checked" in told
    assert "pages: " in told


def test_a_zeroed_first_page_is_found(data: Path, database: Path) -> None:
    zero(database, 1)
    assert "no database" in expect_findings(data)


def test_a_zeroed_page_of_a_long_text_is_found(data: Path, database: Path) -> None:
    zero(database, places(database, b"filler filler filler")[0] // PAGE + 1)
    expect_findings(data)


@pytest.mark.parametrize("index", ["ix_documents_tenant_revision", "sqlite_autoindex_memories_1"])
def test_a_flipped_byte_in_an_index_is_found(data: Path, database: Path, index: str) -> None:
    page = root_page(database, index)
    for place in (0, 3, PAGE - 3):
        flip(database, (page - 1) * PAGE + place, 4)
        expect_findings(data)
        flip(database, (page - 1) * PAGE + place, 4)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9])
def test_a_truncated_file_is_found(data: Path, database: Path, kept: float) -> None:
    truncate(database, int(database.stat().st_size * kept))
    expect_findings(data)


def test_a_missing_file_is_found_where_a_database_has_been(data: Path, database: Path) -> None:
    database.unlink()
    assert "is missing" in expect_findings(data)


def test_a_file_that_is_no_database_is_found(data: Path, database: Path) -> None:
    database.write_bytes(b"no database at all " * 400)
    assert "no database" in expect_findings(data)


def test_another_database_in_its_place_is_found(data: Path, database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "palimpsest.db"
    other.parent.mkdir()
    SqliteAdministration(other).migrate()
    shutil.copy(other, database)
    assert "not the database" in expect_findings(data)


def test_a_changed_secret_is_found(data: Path, database: Path) -> None:
    with open_sync(database) as conn:
        secret = schema.digest_secret(conn)
    for place in places(database, secret):
        flip(database, place)
    expect_findings(data)


def test_an_older_schema_is_told_and_a_migrated_one_is_well(data: Path, database: Path) -> None:
    age(database)
    done = run_check(data)
    assert done.exit_code == 1
    assert "palimpsest migrate" in done.output
    assert SqliteAdministration(database).migrate() == ("0003", schema.HEAD)
    assert check(database) == []
    flip(database, places(database, TEXTS["metadata of a memory"].encode())[0])
    assert check(database)


def test_a_damaged_page_in_an_older_schema_is_found(data: Path, database: Path) -> None:
    age(database)
    zero(database, root_page(database, "documents"))
    expect_findings(data)


def test_a_long_step_gives_signs_of_life(database: Path) -> None:
    told: list[str] = []
    now = iter(range(0, 10_000_000, int(HEARTBEAT_SECONDS)))
    with open_untouched(database) as conn:
        steps = SqliteSteps(conn, told.append, lambda: next(now))
        raw = conn.connection.driver_connection
        assert raw is not None

        def work() -> list[str]:
            steps.saw(1234)
            raw.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
                "SELECT count(*) FROM n"
            ).fetchone()
            return []

        steps.run("a long step", work, total=5000)
    assert told[0] == "a long step"
    assert "a long step: 1,234 of 5,000, 5 s so far" in told


def test_checksums_tell_values_apart() -> None:
    digester = Digester(bytes(64))
    values = [("ab", "c"), ("a", "bc"), (None, ""), ("", None), (1, "1:"), (b"ab", "c")]
    assert len({digester.checksum(*parts) for parts in values}) == len(values)

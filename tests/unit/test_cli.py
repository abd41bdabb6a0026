"""The command line, run in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service import cli
from service.cli.serve import curl_line
from service.settings import Settings

PEM = Path(__file__).parents[1] / "rpc" / "tls"


def palimpsest(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with an empty database."""
    folder = tmp_path / "data"
    assert palimpsest("migrate", "--data-dir", folder).exit_code == 0
    return folder


def test_help_lists_the_commands() -> None:
    text = palimpsest("--help").output
    for command in (
        "serve",
        "import",
        "search",
        "health",
        "mcp",
        "keys",
        "migrate",
        "check",
        "backup",
        "scrub",
    ):
        assert f"\n  {command} " in text


def test_every_setting_is_a_flag_of_serve() -> None:
    text = palimpsest("serve", "--help").output
    for name in Settings.model_fields:
        assert "--" + name.replace("_", "-") in text
        assert f"PALIMPSEST_{name.upper()}" in text.replace("\n" + " " * 26, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--helpers", "17"],
        ["--compute-processes", "17"],
        ["--helpers", "1", "--compute-processes", "17"],
    ],
)
def test_a_former_flag_is_taken_where_the_present_one_is_not_given(arguments: list[str]) -> None:
    done = palimpsest("serve", *arguments)
    assert done.exit_code == 2
    assert "compute_processes: Input should be less than or equal to 16" in done.output


def test_a_former_flag_is_not_listed() -> None:
    assert "--helpers" not in palimpsest("serve", "--help").output


def test_serve_refuses_an_open_address() -> None:
    done = palimpsest("serve", "--listen", "0.0.0.0:0")
    assert done.exit_code == 2
    assert "not a loopback address" in done.output


def test_a_port_that_cannot_be_is_refused(tmp_path: Path) -> None:
    done = palimpsest("serve", "--data-dir", tmp_path / "d", "--listen", "127.0.0.1:99999")
    assert done.exit_code == 2
    assert "the port must be a number from 0 to 65535" in done.output
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("certificate", "key", "client_ca", "words"),
    [
        ("none.pem", "server.key", "ca.pem", "none.pem: No such file"),
        ("server.pem", "none.key", "ca.pem", "none.key: No such file"),
        ("server.pem", "server.key", "none.pem", "none.pem: No such file"),
        ("server.pem", "client.key", "ca.pem", "client.key: not the key of"),
        ("server.key", "server.pem", "ca.pem", "server.key: not PEM"),
        ("server.pem", "server.key", "server.pem", "server.pem: not the certificate of an auth"),
    ],
)
def test_serve_tells_which_tls_file_is_wrong(
    tmp_path: Path, certificate: str, key: str, client_ca: str, words: str
) -> None:
    files = ("--tls-cert", PEM / certificate, "--tls-key", PEM / key, "--tls-client-ca")
    done = palimpsest("serve", "--data-dir", tmp_path / "data", *files, PEM / client_ca)
    assert done.exit_code == 1
    assert words in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "data").exists()


def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert "Made the database" in palimpsest("migrate", "--data-dir", folder).output
    assert "already" in palimpsest("migrate", "--data-dir", folder).output
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_key_from_its_making_to_its_end(data: Path) -> None:
    made = palimpsest(
        *("keys", "create", "--data-dir", data, "--tenant", "acme", "--label", "robot"),
        *("--container", "a", "--container", "b", "--read-only", "--expires-in", "90d"),
    )
    assert made.exit_code == 0
    secret = made.stdout.strip()
    assert " " not in secret

    listed = palimpsest("keys", "list", "--data-dir", data)
    assert secret not in listed.output
    row = listed.stdout.splitlines()[1].split("\t")
    key_id = row[0]
    assert row[1:4] == ["acme", "read", "a,b"]
    assert row[5].startswith("valid until ")
    assert row[6] == "robot"

    assert palimpsest("keys", "revoke", "--data-dir", data, key_id).exit_code == 0
    listed = palimpsest("keys", "list", "--data-dir", data)
    assert "\trevoked " in listed.stdout
    again = palimpsest("keys", "revoke", "--data-dir", data, key_id)
    assert again.exit_code == 1
    assert "keys list" in again.output


@pytest.mark.parametrize("duration", ["90", "d", "-1d", "0d", "1y", "1.5h"])
def test_durations_need_a_number_and_a_unit(data: Path, duration: str) -> None:
    done = palimpsest("keys", "create", "--data-dir", data, "--expires-in", duration)
    assert done.exit_code == 2
    assert "90d" in done.output


def test_containers_are_named_as_in_the_contract(data: Path) -> None:
    done = palimpsest("keys", "create", "--data-dir", data, "--container", "no spaces")
    assert done.exit_code == 2


@pytest.mark.parametrize(
    "command",
    [("check",), ("backup", "copy"), ("scrub",), ("keys", "list"), ("keys", "create")],
)
def test_a_folder_without_database_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = palimpsest(*command, "--data-dir", tmp_path)
    assert done.exit_code == 1
    assert "no database" in done.output
    assert list(tmp_path.iterdir()) == []


def test_check_finds_an_empty_database_well(data: Path) -> None:
    done = palimpsest("check", "--data-dir", data)
    assert done.exit_code == 0
    assert "All is well." in done.stdout


def test_check_has_an_exit_code_for_findings(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.storage.sqlite.inspection.check", lambda *_: ["a fork in a chain"])
    done = palimpsest("check", "--data-dir", data)
    assert done.exit_code == cli.FINDINGS
    assert "a fork in a chain" in done.stdout


def test_a_backup_is_a_database_and_overwrites_nothing(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    copy = other / "palimpsest.db"
    assert palimpsest("backup", "--data-dir", data, copy).exit_code == 0
    assert palimpsest("check", "--data-dir", other).exit_code == 0
    again = palimpsest("backup", "--data-dir", data, copy)
    assert again.exit_code == 1
    assert "already" in again.output


def test_scrub_runs(data: Path) -> None:
    assert palimpsest("scrub", "--data-dir", data).exit_code == 0


def test_a_file_that_is_no_database_is_told(data: Path) -> None:
    (data / "palimpsest.db").write_bytes(b"no database at all " * 400)
    done = palimpsest("check", "--data-dir", data)
    assert done.exit_code == cli.FINDINGS
    assert "last backup" in done.output


def test_the_curl_line_reads_the_key_from_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert curl_line(settings, "127.0.0.1:1") is None
    settings.first_key_file.write_text("secret\n")
    assert curl_line(settings, None) is None
    assert curl_line(settings, "unix:socket") is None
    line = curl_line(settings, "0.0.0.0:1")
    assert line is not None
    assert "secret" not in line
    assert f"$(cat {settings.first_key_file})" in line
    assert "http://127.0.0.1:1/v1/documents" in line


def test_a_key_makes_a_database_only_if_it_is_told_to(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    made = palimpsest("keys", "create", "--data-dir", folder, "--init")
    assert made.exit_code == 0
    assert made.stdout.startswith("pal_")
    assert palimpsest("keys", "create", "--data-dir", folder, "--init").exit_code == 0
    listed = palimpsest("keys", "list", "--data-dir", folder)
    assert listed.stdout.count("\tvalid\t") == 2

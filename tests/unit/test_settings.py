"""Settings: where they come from, what they refuse, and that they are documented."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import NoReturn

import pytest
from pydantic import ValidationError

from service.settings import (
    ENV_PREFIX,
    FORMER_NAMES,
    Settings,
    default_data_dir,
    explain,
    is_loopback,
)

OPERATIONS = Path(__file__).resolve().parents[2] / "service" / "OPERATIONS.md"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.model_fields, *FORMER_NAMES):
        monkeypatch.delenv(ENV_PREFIX + name.upper(), raising=False)


def refusal(**values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings(**values)  # type: ignore[arg-type]
    return explain(caught.value)


def test_defaults_are_safe_and_local() -> None:
    settings = Settings()
    assert settings.listen == "127.0.0.1:50051"
    assert settings.database == Path("data/palimpsest.db")
    assert not settings.no_auth
    assert not settings.allow_plaintext


def test_environment_gives_values_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALIMPSEST_DRAIN_GRACE", "3")
    monkeypatch.setenv("PALIMPSEST_LOG_LEVEL", "error")
    settings = Settings(log_level="debug")
    assert settings.drain_grace == 3
    assert settings.log_level == "debug"


def test_the_former_variable_is_read_where_the_present_one_is_not_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PALIMPSEST_HELPERS", "7")
    assert Settings().compute_processes == 7
    assert Settings(compute_processes=5).compute_processes == 5
    monkeypatch.setenv("PALIMPSEST_COMPUTE_PROCESSES", "6")
    assert Settings().compute_processes == 6


def test_a_fault_of_a_former_variable_is_that_of_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PALIMPSEST_HELPERS", "17")
    assert refusal() == "compute_processes: Input should be less than or equal to 16"


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/tmp/socket", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        (":1", False),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
    ],
)
def test_loopback(listen: str, expected: bool) -> None:
    assert is_loopback(listen) is expected


def test_other_addresses_need_tls_or_consent() -> None:
    assert "not a loopback address" in refusal(listen="0.0.0.0:1")
    Settings(listen="0.0.0.0:1", allow_plaintext=True)
    Settings(listen="0.0.0.0:1", tls_cert=Path("c"), tls_key=Path("k"))


def test_no_keys_only_on_loopback() -> None:
    Settings(no_auth=True)
    assert "no_auth" in refusal(listen="0.0.0.0:1", allow_plaintext=True, no_auth=True)


def test_tls_needs_both_files() -> None:
    assert "go together" in refusal(tls_cert=Path("c"))
    assert "needs tls_cert" in refusal(tls_client_ca=Path("ca"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "127.0.0.1"),
        ("drain_grace", -1),
        ("sweep_interval", 0),
        ("max_waiting", 0),
        ("readers", 65),
        ("log_level", "loud"),
    ],
)
def test_a_refusal_names_the_setting(name: str, value: object) -> None:
    assert refusal(**{name: value}).startswith(f"{name}: ")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("port", ["65536", "99999", "131072", "1" * 5000])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[fe80::1%eth0]", "localhost", "0.0.0.0", "[::]", ""]
)
def test_a_port_that_cannot_be_is_refused(host: str, port: str, tls: bool) -> None:
    files = {"tls_cert": Path("c"), "tls_key": Path("k")} if tls else {}
    said = refusal(listen=f"{host}:{port}", **files)
    assert said == "listen: the port must be a number from 0 to 65535"


@pytest.mark.parametrize(
    "listen",
    [
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        "127.0.0.1:1\n",
        " 127.0.0.1:1",
        "127.0.0.1:\u0661",
        "::1:50051",
        "[::1]",
        "[]:1",
        "[::1]x:1",
        "ipv4:127.0.0.1:1",
        "dns:///localhost:1",
        "http://localhost:1",
        "vsock:1:1",
        "localhost:1,localhost:2",
        "unix:",
    ],
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    assert refusal(listen=listen).startswith(("listen: must be host:port", "listen: needs a path"))


@pytest.mark.parametrize(
    "listen",
    ["127.0.0.1:0", "[::1]:65535", "localhost:00080", "unix:/tmp/a b:99999", "unix:relative"],
)
def test_addresses_that_can_be_are_taken(listen: str) -> None:
    assert Settings(listen=listen).listen == listen


def test_the_operations_page_lists_every_setting() -> None:
    rows = []
    for name, info in Settings.model_fields.items():
        default = {None: "", "": "", False: "off"}.get(info.default, f"`{info.default}`")
        flag = "--" + name.replace("_", "-")
        rows.append(f"| `{ENV_PREFIX}{name.upper()}` | `{flag}` | {default} | {info.description} |")
    assert "\n".join(rows) in OPERATIONS.read_text()


def test_the_data_is_in_the_current_folder_only_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert default_data_dir(tmp_path) == tmp_path / "share" / "palimpsest"
    (tmp_path / "pyproject.toml").touch()
    assert default_data_dir(tmp_path) == Path("data")


def test_a_user_without_a_home_has_the_data_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(user: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert default_data_dir(tmp_path) == Path("data")

"""Addresses of servers are read before anything is called."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from service.cli import main
from service.client.address import Address, AddressError, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051, None),
        ("memory.example:1", "memory.example", 1, None),
        ("[::1]:65535", "::1", 65535, None),
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1, None),
        ("unix:here/socket", "", 0, "here/socket"),
        ("unix:/run/socket", "", 0, "/run/socket"),
        ("unix:///run/socket", "", 0, "/run/socket"),
    ],
)
def test_addresses(text: str, host: str, port: int, path: str | None) -> None:
    assert parse_address(text) == Address(text, host, port, path)


MALFORMED = [
    ("http://localhost:50051", "leave out `http://`"),
    ("HTTPS://localhost:50051/", "--tls-ca"),
    ("grpc://localhost:50051", "leave out `grpc://`"),
    ("localhost", "port is missing"),
    ("[::1]", "port is missing"),
    ("", "port is missing"),
    ("::1:50051", "needs brackets"),
    (":50051", "host is missing"),
    ("[localhost:50051", "malformed"),
    ("user@host:50051", "malformed"),
    ("a b:50051", "malformed"),
    ("host/path:50051", "malformed"),
    ("a..b:50051", "a part of it is empty or too long"),
    ("a" * 64 + ":50051", "a part of it is empty or too long"),
    ("localhost:", "from 1 to 65535"),
    ("localhost:0", "from 1 to 65535"),
    ("localhost:65536", "from 1 to 65535"),
    ("localhost:" + "9" * 5000, "from 1 to 65535"),
    ("localhost:50051/", "from 1 to 65535"),
    ("localhost:²", "from 1 to 65535"),
    ("unix:", "path is missing"),
    ("unix://host/socket", "absolute"),
]


@pytest.mark.parametrize(("text", "words"), MALFORMED)
def test_what_is_no_address_says_what_to_give(text: str, words: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "command", [("search", "query"), ("import", "LICENSE", "--container", "c"), ("health",)]
)
@pytest.mark.parametrize(("text", "words"), [MALFORMED[0], MALFORMED[3]])
def test_every_command_refuses_it_as_wrong_usage(
    command: tuple[str, ...], text: str, words: str
) -> None:
    done = CliRunner().invoke(main, [*command, "--address", text])
    assert done.exit_code == 2
    assert words in done.output

"""A second language: Node with the contract's .proto files and nothing else of ours."""

from __future__ import annotations

import re
from pathlib import Path

from tests import node
from tests.harness import REPOSITORY, Server

PROJECT = Path(__file__).parent / "node"


def test_a_node_program_uses_the_service_through_the_proto_files(
    shared_server: Server, key: str
) -> None:
    node.install(PROJECT)

    output = node.run(PROJECT, "client.js", shared_server.address, key, REPOSITORY / "protos")

    client = (PROJECT / "client.js").read_text()
    promised = re.findall(r"^async function (?!main\b)(\w+)", client, re.MULTILINE)
    assert re.findall(r"^kept: (\w+)$", output, re.MULTILINE) == promised
    assert promised

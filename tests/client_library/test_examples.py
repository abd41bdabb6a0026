"""The examples of the client run, and stay short."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import REPOSITORY, Server
from tests.waiting import HANG_SECONDS

CHAT = REPOSITORY / "protos" / "python" / "examples" / "chat.py"


PAGE = (REPOSITORY / "protos" / "CLIENTS.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n+```\n(.*?)```", PAGE, re.DOTALL)


def run(*command: str | Path, said: str = "", **environment: str) -> str:
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        | environment,
        input=said,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
    ).stdout


@pytest.mark.processes
@pytest.mark.parametrize(("program", "promised"), EXAMPLES, ids=["library", "changes", "stubs"])
def test_the_programs_of_the_page(
    program: str, promised: str, shared_server: Server, key: str
) -> None:
    assert "127.0.0.1:50051" in program

    told = run("-c", program.replace("127.0.0.1:50051", shared_server.address), KEY=key)

    assert told == promised


@pytest.mark.processes
def test_a_chat_that_remembers(shared_server: Server, key: str) -> None:
    said = [
        "I drink my tea black.",
        "How do I drink my tea?",
        "",
        "forget I drink my tea black.",
        "forget what I have never said about quantum gravity",
    ]

    told = run(CHAT, shared_server.address, key, "user_7", said="\n".join(said)).splitlines()

    assert told[0] == "remembered before: nothing"
    assert told[1] == "remembered before: I drink my tea black."
    assert told[2].startswith("query: ")
    assert told[3] == "forgotten: I drink my tea black."


def test_the_chat_is_short() -> None:
    assert len(CHAT.read_text().splitlines()) < 45

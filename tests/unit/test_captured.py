"""What other code writes to standard error becomes log records."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from service.output.captured import FIELDS, KIND, MAX_LINE, MAX_TEXT, CapturedOutput

HANDSHAKE = (
    b"I0000 00:00:1764335752.942001   27150 ssl_transport_security.cc:2563] "
    b"Handshake failed with error SSL_ERROR_SSL: WRONG_VERSION_NUMBER\n"
)


def fields(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = getattr(record, FIELDS)
    return found


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_a_line_of_grpc_is_a_record_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    output = CapturedOutput("stderr")
    for byte in HANDSHAKE:
        output.feed(bytes([byte]))
    output.feed(b"E0000 00:00:1764335752.942001 27150 add_port.cc:83] Failed to add port\n")
    first, second = caplog.records
    assert (first.name, first.levelname) == ("grpc.core", "INFO")
    assert first.getMessage().startswith("Handshake failed with error")
    assert fields(first) == {"place": "ssl_transport_security.cc:2563"}
    assert getattr(first, KIND) == "ssl_transport_security.cc:2563"
    assert (second.levelname, second.getMessage()) == ("WARNING", "Failed to add port")
    assert not output.unfinished


def test_lines_that_come_together_are_one_record(caplog: pytest.LogCaptureFixture) -> None:
    output = CapturedOutput("stderr")
    output.feed(b"WARNING: All log messages before absl::InitializeLog() is called are written\n")
    output.feed(b"Traceback:\n  in a\n\nValueError")
    assert caplog.records == []
    assert output.unfinished
    output.flush()
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == (
        "stderr",
        "WARNING",
        "Traceback:",
    )
    assert fields(record) == {"text": "Traceback:\n  in a\nValueError"}
    assert output.last == "ValueError"
    assert not output.unfinished


def test_text_that_was_taken_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    output = CapturedOutput("stderr")
    output.feed(b"a\nb\n")
    assert output.take_text() == "a\nb"
    output.flush()
    assert caplog.records == []


def test_what_never_ends_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    output = CapturedOutput("stderr")
    for _ in range(64):
        output.feed(b"x" * 65_536)
    assert len(output._line) == MAX_LINE
    for _ in range(100):
        output.feed(b"\n" + b"y" * 1_000)
    output.flush()
    assert all(len(str(fields(record))) < MAX_TEXT + 1_000 for record in caplog.records)
    assert len(caplog.records) > 1


def test_only_a_child_process_writes_records(caplog: pytest.LogCaptureFixture) -> None:
    line = json.dumps({"level": "ERROR", "logger": "a", "event": "b", "kind": "c"}).encode()
    CapturedOutput("stderr").feed(line + b"\n")
    assert caplog.records == []
    output = CapturedOutput("child", structured=True)
    output.feed(line + b"\n")
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("a", "ERROR", "b")
    for broken in (b'{"level": "ERROR"}', b'{"level": "LOUD", "event": "b"}', b"[]", b'"x"'):
        output.feed(broken + b"\n")
    output.flush()
    assert [entry.name for entry in caplog.records] == ["a", "child"]


CHILD = """
import logging, sys, warnings
from service.output import child_logs
child_logs.configure()
logging.getLogger("a").warning("%s of %d", "one", 2)
warnings.warn("old")
try:
    raise ValueError("the kettle whistles")
except ValueError:
    logging.getLogger("b").exception("failed")
raise KeyError("the kettle whistles")
"""


@pytest.mark.processes
def test_a_child_process_writes_what_its_parent_reads(caplog: pytest.LogCaptureFixture) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, check=False)
    output = CapturedOutput("child", structured=True)
    output.feed(done.stderr)
    output.flush()
    levels = [(record.name, record.levelname) for record in caplog.records]
    assert levels == [
        ("a", "WARNING"),
        ("py.warnings", "WARNING"),
        ("b", "ERROR"),
        ("service", "CRITICAL"),
    ]
    assert caplog.records[0].getMessage() == "one of 2"
    assert getattr(caplog.records[0], KIND) == "%s of %d"
    assert "builtins.ValueError" in str(fields(caplog.records[2])["exception"])
    assert "builtins.KeyError" in str(fields(caplog.records[3])["exception"])
    assert b"kettle" not in done.stderr.replace(CHILD.encode(), b"")

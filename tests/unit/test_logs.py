"""Logs hold no content, whatever goes wrong."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from service.output.captured import FIELDS, KIND
from service.output.streams import best_effort
from service.runtime import logs

CONTENT = "the kettle whistles"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = kept
    structlog.reset_defaults()


def failing() -> None:
    try:
        raise KeyError(CONTENT)
    except KeyError as error:
        raise ValueError(f"cannot take {CONTENT}") from error


@pytest.mark.parametrize("form", ["console", "json"])
def test_exceptions_show_their_place_and_not_their_text(form: Literal["console", "json"]) -> None:
    stream = io.StringIO()
    logs.configure("debug", form, stream)
    for write in (structlog.get_logger("a").exception, logging.getLogger("b").exception):
        try:
            failing()
        except ValueError:
            write("failed")
    text = stream.getvalue()
    assert text.count("builtins.ValueError") == 2
    assert text.count("builtins.KeyError") == 2
    assert "in failing" in text
    assert CONTENT not in text


def test_json_lines_are_objects() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    structlog.get_logger("a").info("serving", address="here")
    logging.getLogger("b").warning("slow: %d s", 3)
    structlog.get_logger("a").debug("unseen")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["logger"]) == ("serving", "info", "a")
    assert (second["event"], second["level"]) == ("slow: 3 s", "warning")
    assert first["time"].endswith("Z")


def test_metadata_that_grpc_quotes_is_not_logged() -> None:
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    library = logging.getLogger("grpc._cython.cygrpc")
    library.error("Invalid encoding on %s", CONTENT.encode())
    library.error(f"Invalid encoding on {CONTENT.encode()!r}")
    library.error("Another failure")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "Another failure"


def test_libraries_that_print_parameters_stay_quiet() -> None:
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    for name in ("aiosqlite", "sqlalchemy.engine", "asyncio"):
        logging.getLogger(name).info(CONTENT)
    assert stream.getvalue() == ""


async def test_failures_of_the_loop_are_logged_without_their_text() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    logs.loop_failure(
        asyncio.get_running_loop(), {"message": "never awaited", "exception": ValueError(CONTENT)}
    )
    line = json.loads(stream.getvalue())
    assert line["event"] == "never awaited"
    assert line["exception"] == "builtins.ValueError"


async def test_answers_that_find_no_client_any_more_are_not_errors_of_the_service() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    gone = type("ExecuteBatchError", (Exception,), {})()
    logger = logging.getLogger("grpc._cython.cygrpc")
    logger.error("raised in core", exc_info=gone)
    logs.loop_failure(asyncio.get_running_loop(), {"message": "never retrieved", "exception": gone})
    assert stream.getvalue() == ""
    logger.error("raised in core", exc_info=ValueError())
    assert json.loads(stream.getvalue())["exception"] == "builtins.ValueError"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("asked", [False, True])
def test_a_terminal_gets_colours_unless_it_wants_none(
    monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if asked:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    logs.configure("info", "console", stream)
    structlog.get_logger("a").info("serving", address="here")
    assert ("\x1b[" in stream.getvalue()) is not asked


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_repeated_warnings_are_counted() -> None:
    stream = io.StringIO()
    handler = logs.configure("info", "json", stream)
    for number in range(20):
        logging.getLogger("a").warning("number %d failed", number)
        structlog.get_logger("b").warning("failed", number=number)
        structlog.get_logger("c").info("done", number=number)
    handler.tell_counted()
    assert sum(line["logger"] == "c" for line in lines(stream)) == 20
    for name, event in (("a", "number %d failed"), ("b", "failed")):
        written = [line for line in lines(stream) if line["logger"] == name]
        assert len(written) == logs.BURST_LIMIT + 1
        assert written[-1]["event"] == f"{event} (15 more like it in the last 10 s)"
        assert (written[-1]["repeated"], written[-1]["level"]) == (15, "warning")


def test_lines_of_one_place_are_counted_at_any_level_and_told_by_an_example() -> None:
    stream = io.StringIO()
    handler = logs.configure("info", "json", stream)
    for number in range(20):
        extra = {KIND: "a.cc:1", FIELDS: {"place": "a.cc:1"}}
        logging.getLogger("grpc.core").info("%s", f"peer {number} left", extra=extra)
    handler.tell_counted()
    written = lines(stream)
    assert [line.get("place") for line in written] == ["a.cc:1"] * logs.BURST_LIMIT + [None]
    assert written[-1]["event"] == "peer 0 left (15 more like it in the last 10 s)"


def test_a_limited_logger_has_a_limit_of_its_own() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    limited = logs.LimitedLogger("rpc", limit=8, seconds=1000)
    for number in range(20):
        limited.warning("key refused", number=number)
        limited.info("told", number=number)
        limited.log(logging.DEBUG, "unseen", number=number)
    limited.flush()
    for event, level in (("key refused", "warning"), ("told", "info")):
        written = [line for line in lines(stream) if line["event"].startswith(event)]
        assert [line.get("number") for line in written] == [*range(8), None]
        assert written[-1]["event"] == f"{event} (12 more like it in the last 1000 s)"
        assert {line["level"] for line in written} == {level}
        assert all(not any(name.startswith("_") for name in line) for line in written)
    assert len(lines(stream)) == 18


EVERYTHING = """
import faulthandler, logging, os, signal, sys, threading, warnings
from pathlib import Path
from service.runtime import logs

with logs.running("info", "json", Path(sys.argv[1])):
    logging.getLogger("a").warning("b")
    warnings.warn("an old thing")
    print("a line of Python", file=sys.stderr, flush=True)
    os.write(2, b"a line of C\\nand another\\n")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    class Broken:
        def __del__(self):
            raise ValueError("the kettle whistles")
    Broken()
    if sys.argv[2] == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if sys.argv[2] == "fail":
        raise KeyError("the kettle whistles")
"""


def everything(folder: Path, end: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING, str(folder), end],
        stderr=subprocess.PIPE,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.processes
def test_while_running_every_line_is_an_event(tmp_path: Path) -> None:
    code, found = everything(tmp_path / "data", "end")
    assert code == 0
    told = {line["logger"]: line for line in found}
    assert told["a"]["event"] == "b"
    assert "an old thing" in told["py.warnings"]["event"]
    text = "\n".join(line.get("text", line["event"]) for line in found)
    for line in ("a line of Python", "a line of C", "and another"):
        assert line in text
    kinds = [line["exception"] for line in found if line["logger"] == "palimpsest.python"]
    assert len(kinds) == 2
    assert "ZeroDivisionError" in kinds[0]
    assert "ValueError" in kinds[1]
    assert CONTENT not in str(found)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.processes
def test_a_failure_is_logged_without_its_text(tmp_path: Path) -> None:
    code, found = everything(tmp_path, "fail")
    assert code == 1
    (told,) = [line for line in found if line["logger"] == "palimpsest"]
    assert told["event"] == "the server failed"
    assert "builtins.KeyError" in told["exception"]
    assert CONTENT not in str(found)


@pytest.mark.processes
def test_a_crash_is_logged_at_the_next_start(tmp_path: Path) -> None:
    code, _ = everything(tmp_path, "crash")
    assert code < 0
    (note,) = tmp_path.iterdir()
    assert note.stat().st_mode & 0o777 == 0o600
    code, found = everything(tmp_path, "end")
    assert code == 0
    (told,) = [line for line in found if line["logger"] == "palimpsest.crash"]
    assert "Segmentation fault" in told["text"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_a_note_of_a_process_that_runs_is_left_alone(tmp_path: Path) -> None:
    script = EVERYTHING + "    sys.stdin.readline()\n"
    running = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), "end"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert running.stderr is not None
        running.stderr.readline()
        (note,) = tmp_path.iterdir()
        assert everything(tmp_path, "end")[0] == 0
        assert list(tmp_path.iterdir()) == [note]
    finally:
        running.communicate(b"\n")
    assert list(tmp_path.iterdir()) == []


def test_lines_that_standard_error_did_not_take_are_counted() -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    stream = best_effort(sink, 0.0)
    logs.configure("info", "json", stream)
    try:
        while True:
            os.write(sink, b"." * 4096)
    except BlockingIOError:
        pass
    for number in range(4):
        logging.getLogger("a").info("lost %d", number)
    while os.read(source, 65_536).endswith(b"." * 4096):
        if not select.select([source], [], [], 0)[0]:
            break
    logging.getLogger("a").info("told")
    told, lost = (json.loads(line) for line in os.read(source, 65_536).splitlines())
    assert told["event"] == "told"
    assert lost["event"].startswith("4 lines before this one were lost")
    os.close(source)
    os.close(sink)

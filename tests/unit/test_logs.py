"""Logs hold no content, whatever goes wrong."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from service import logs

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

"""Logs: one line an event on standard error, without content or secrets.

What callers send never reaches a log, also not by way of an exception: a
traceback is written with its frames and types, and without the exceptions'
own texts, which may quote the value at fault.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from types import TracebackType
from typing import Any, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.core.errors import describe

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

# They print the parameters of statements when asked for everything.
_QUIET = ("aiosqlite", "sqlalchemy", "alembic", "asyncio", "hpack", "httpcore", "httpx")


def configure(level: str, form: Literal["console", "json"], stream: TextIO = sys.stderr) -> None:
    """Send the process's logs to `stream`.

    Args:
        level: Name of the least severe level that is written.
        form: Lines for people or JSON objects.
        stream: Where lines go.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        describe_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    last: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(lambda record: not is_client_gone(record.exc_info))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def describe_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replaces `exc_info` by a traceback that quotes no values."""
    info = _exc_info(event.pop("exc_info", None))
    if info is not None:
        event["exception"] = "\n".join(describe(info[1]))
    return event


def _exc_info(given: object) -> ExcInfo | None:
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple):
        return None if given[0] is None else given
    found = sys.exc_info() if given else (None, None, None)
    return None if found[0] is None else found


def is_client_gone(given: object) -> bool:
    """Whether all that failed was sending an answer to a client that has left.

    gRPC reports each of these as an error of its own, and again as one of the event
    loop; to the service they are what cancelled calls are.
    """
    info = _exc_info(given) if given else None
    return info is not None and info[0].__name__ == "ExecuteBatchError"


def loop_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for event loops: the default one prints exceptions' texts."""
    if is_client_gone(context.get("exception")):
        return
    structlog.get_logger("palimpsest.loop").error(
        str(context.get("message", "failure in the event loop")),
        exc_info=context.get("exception"),
    )

"""Logs: one line an event on standard error, without content or secrets.

What callers send never reaches a log, also not by way of an exception: a
traceback is written with its frames and types, and without the exceptions'
own texts, which may quote the value at fault.

While `running`, every line on standard error is an event of these logs: also what
libraries, Python itself and child processes write there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.core.errors import describe
from service.output import crashes
from service.output.bursts import BurstLimiter
from service.output.capture import captured_stderr
from service.output.captured import FIELDS, KIND
from service.output.streams import BestEffortWriter, best_effort

Form: TypeAlias = Literal["console", "json"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

# At their lowest levels they print the parameters of statements.
_QUIET = ("aiosqlite", "sqlalchemy", "alembic", "asyncio", "hpack", "httpcore", "httpx", "urllib3")


BURST_LIMIT: Final = 5
BURST_SECONDS: Final = 10.0
"""So many lines of one kind are written in so much time; the rest are counted. Of the service's
own lines this limits those from warnings on."""

WRITE_TIMEOUT: Final = 0.25
"""How long a line may wait for standard error: calls wait meanwhile, so that after this it is
dropped."""

_COUNTED: Final = "counted"
"""Field of an event that a `LimitedLogger` has let pass."""


@contextmanager
def running(level: str, form: Form, folder: Path) -> Iterator[None]:
    """Logs of a server, from its start to its end; standard error belongs to them.

    A failure that leaves the block is logged, and ends the process with exit code 1.

    Args:
        level: See `configure`.
        form: See `configure`.
        folder: Where a crash is noted, to be logged at the next start, if a line of a
            crashing process would be none of `form`; made if it is missing.
    """
    real = os.dup(2)
    handler = configure(level, form, best_effort(real, WRITE_TIMEOUT))
    try:
        with captured_stderr(real), _hooks(), _crashes(form, real, folder):
            try:
                yield
            except Exception:
                logging.getLogger("palimpsest").exception("the server failed")
                raise SystemExit(1) from None
            finally:
                handler.tell_counted()
    finally:
        # A thread that logs later must not write to what has the descriptor's number then.
        handler.setStream(best_effort(2, WRITE_TIMEOUT))
        os.close(real)


def _crashes(form: Form, real: int, folder: Path) -> AbstractContextManager[None]:
    return crashes.noted(folder) if form == "json" else crashes.written(real)


def configure(level: str, form: Form, stream: TextIO) -> _Handler:
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
        _with_fields,
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
            colors=stream.isatty() and not os.environ.get("NO_COLOR"),
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    handler = _Handler(stream)
    handler.addFilter(lambda record: not is_client_gone(record.exc_info))
    handler.addFilter(lambda record: not quotes_metadata(record))
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
    return handler


@dataclass(frozen=True, slots=True)
class _Kind:
    """What repeated events have in common, and the text of the first of them."""

    logger: str
    level: int
    what: str
    event: str = field(compare=False)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; of many of one kind a few, and how many more there were."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bursts: BurstLimiter[_Kind] = BurstLimiter(BURST_LIMIT, BURST_SECONDS, _tell_more)

    def handle(self, record: logging.LogRecord) -> bool:
        return bool(self.filter(record)) and self._admitted(record) and super().handle(record)

    def _admitted(self, record: logging.LogRecord) -> bool:
        event = record.msg if isinstance(record.msg, dict) else {}
        kind = getattr(record, KIND, None)
        if event.pop(_COUNTED, False) or (record.levelno < logging.WARNING and kind is None):
            return True
        template = str(event.get("event") or record.msg)
        shown = record.getMessage() if template == "%s" else template
        return self._bursts.admit(_Kind(record.name, record.levelno, kind or template, shown))

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        writer = getattr(self.stream, "buffer", None)
        if isinstance(writer, BestEffortWriter) and writer.lost:
            lost, writer.lost = writer.lost, 0
            self.stream.write(self.format(_lost_lines(lost)) + self.terminator)
            if writer.lost:
                writer.lost += lost - 1

    def tell_counted(self) -> None:
        """Log the counts of lines held back so far."""
        self._bursts.flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the library's)
        """Nothing: what is written to standard error comes here again."""


def _tell_more(kind: _Kind, count: int, seconds: float) -> None:
    _write_count(kind.logger, kind.level, kind.event, count, seconds)


def _write_count(logger: str, level: int, event: str, count: int, seconds: float) -> None:
    structlog.get_logger(logger).log(
        level,
        f"{event} ({count} more like it in the last {seconds:g} s)",
        repeated=count,
        **{_COUNTED: True},
    )


def _lost_lines(count: int) -> logging.LogRecord:
    return logging.LogRecord(
        "palimpsest.logs",
        logging.WARNING,
        __file__,
        0,
        "%d lines before this one were lost: standard error did not take them",
        (count,),
        None,
    )


class LimitedLogger:
    """Logs at most so many events of a kind in a window of time, and counts the rest.

    For what callers can cause as often as they like. The events of a kind have the same
    text, and a kind is a place in the code, not something that a caller chooses. When a
    window ends in which some were held back, a line says how many: "… (N more like it in
    the last M s)", with N as `repeated`.

        refusals = LimitedLogger("palimpsest.rpc", limit=5, seconds=1.0)
        refusals.warning("key refused", peer=peer, key=key_id)

    Args:
        name: Of the logger.
        limit: Events of a kind in a window.
        seconds: The length of a window.
    """

    def __init__(self, name: str, *, limit: int, seconds: float) -> None:
        self._name = name
        self._logger = structlog.get_logger(name)
        self._bursts: BurstLimiter[tuple[int, str]] = BurstLimiter(limit, seconds, self._tell_more)

    def info(self, event: str, **fields: Any) -> None:
        self.log(logging.INFO, event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        self.log(logging.WARNING, event, **fields)

    def log(self, level: int, event: str, **fields: Any) -> None:
        if self._logger.is_enabled_for(level) and self._bursts.admit((level, event)):
            self._logger.log(level, event, **fields, **{_COUNTED: True})

    def flush(self) -> None:
        """Log the counts of lines held back so far."""
        self._bursts.flush()

    def _tell_more(self, kind: tuple[int, str], count: int, seconds: float) -> None:
        _write_count(self._name, *kind, count, seconds)


@contextmanager
def _hooks() -> Iterator[None]:
    """What Python itself would print is logged."""
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    log = logging.getLogger("palimpsest.python")

    def in_main(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        log.critical("an exception was not handled", exc_info=(kind, error, trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            log.error("an exception was not handled in a thread", exc_info=args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        log.error("an exception was ignored", exc_info=args.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, unraisable
    logging.captureWarnings(True)
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        logging.captureWarnings(False)


def _with_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Adds the fields that a record of the standard library has in addition to its text."""
    event.update(getattr(event.get("_record"), FIELDS, {}))
    return event


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


def quotes_metadata(record: logging.LogRecord) -> bool:
    """Whether gRPC has logged metadata of a caller which are not UTF-8, and may be a key."""
    return record.name.startswith("grpc.") and str(record.msg).startswith("Invalid encoding on ")


def loop_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for event loops: the default one prints exceptions' texts."""
    if is_client_gone(context.get("exception")):
        return
    structlog.get_logger("palimpsest.loop").error(
        str(context.get("message", "failure in the event loop")),
        exc_info=context.get("exception"),
    )

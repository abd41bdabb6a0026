"""Logs of a child process: lines for its parent, which logs them as its own.

With the standard library only, so that child processes start quickly.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import sys

from service.core.errors import describe
from service.output.captured import KIND


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            KIND: str(record.msg),
            "pid": record.process,
        }
        if record.exc_info and record.exc_info[1] is not None:
            # Without the exceptions' own texts, which may quote what callers sent.
            fields["exception"] = "\n".join(describe(record.exc_info[1]))
        return json.dumps(fields, ensure_ascii=False)


def configure() -> None:
    """Send logs, warnings and uncaught exceptions of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    faulthandler.enable()
    sys.excepthook = lambda kind, error, trace: logging.getLogger("service").critical(
        "a child process failed", exc_info=(kind, error, trace)
    )

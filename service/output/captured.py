"""What other code writes to standard error, as log records."""

from __future__ import annotations

import json
import logging
import re
from typing import Final

MAX_LINE: Final = 16 * 1024
"""Bytes of a line; the rest of a longer one is left out."""

MAX_TEXT: Final = 32 * 1024
"""Bytes of lines that belong together."""

FIELDS: Final = "fields"
"""Attribute of a log record: its further fields, by name."""

KIND: Final = "kind"
"""Attribute, and field, that is the same for records of one kind."""

_ABSEIL: Final = re.compile(r"([IWEF])\d{4} [\d:.]+\s+\d+ (\S+?:\d+)\] (.*)", re.DOTALL)
_ABSEIL_LEVELS: Final = {
    "I": logging.INFO,
    "W": logging.WARNING,
    # gRPC logs failures of single connections as errors; often the peer causes them.
    "E": logging.WARNING,
    "F": logging.CRITICAL,
}
_ABSEIL_PREAMBLE: Final = "WARNING: All log messages before absl::InitializeLog()"


class CapturedOutput:
    """Logs bytes line by line as they arrive.

    Lines of gRPC's core, and those of the service's own child processes, become records
    of their own. Other lines that come together, such as a traceback, become one.

    Args:
        name: The logger of lines that name none.
        structured: Whether lines may be records in the format of `child_logs`.
    """

    def __init__(self, name: str, *, structured: bool = False) -> None:
        self._logger = logging.getLogger(name)
        self._structured = structured
        self._line = bytearray()
        self._text: list[str] = []
        self._size = 0
        self.last = ""
        """The last line that was not a record, such as the last one of a traceback."""

    @property
    def unfinished(self) -> bool:
        """Whether lines wait for others that may belong to them."""
        return bool(self._text or self._line)

    def feed(self, data: bytes) -> None:
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._append(end)
            self._end_line()
        self._append(rest)

    def flush(self) -> None:
        """Log what has arrived so far."""
        if self._line:
            self._end_line()
        self._log_text()

    def take_text(self) -> str:
        """Remove and return the lines that were not logged yet."""
        text, self._text, self._size = "\n".join(self._text), [], 0
        return text

    def _append(self, data: bytes) -> None:
        self._line += data[: MAX_LINE - len(self._line)]

    def _end_line(self) -> None:
        line = self._line.decode(errors="replace").rstrip()
        self._line.clear()
        if not line or line.startswith(_ABSEIL_PREAMBLE):
            return
        if (found := _ABSEIL.fullmatch(line)) is not None:
            self._log_text()
            level, place, message = found.groups()
            extra = {KIND: place, FIELDS: {"place": place}}
            logging.getLogger("grpc.core").log(_ABSEIL_LEVELS[level], "%s", message, extra=extra)
        elif not (self._structured and self._log_record(line)):
            self._add(line)

    def _log_record(self, line: str) -> bool:
        """Log a line that a child process's `child_logs` has written."""
        try:
            fields = json.loads(line)
            event, level = fields.pop("event"), logging.getLevelNamesMapping()[fields.pop("level")]
            name, kind = str(fields.pop("logger")), str(fields.pop(KIND))
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        self._log_text()
        logging.getLogger(name).log(level, "%s", event, extra={KIND: kind, FIELDS: fields})
        return True

    def _add(self, line: str) -> None:
        self.last = line
        if self._size + len(line) > MAX_TEXT:
            self._log_text()
        self._text.append(line)
        self._size += len(line)

    def _log_text(self) -> None:
        if not self._text:
            return
        first = self._text[0]
        text = self.take_text()
        extra = {KIND: "output", FIELDS: {} if text == first else {"text": text}}
        self._logger.warning("%s", first, extra=extra)

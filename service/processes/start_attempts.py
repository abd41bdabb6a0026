"""Child processes that cannot be started: logged once, and not tried again at once."""

from __future__ import annotations

import logging
import time
from typing import Final

from service.output.captured import FIELDS

log = logging.getLogger(__name__)

TRIES: Final = 2
"""Consecutive failed starts after which no further one is expected to succeed: a single
process may have been stopped for another reason."""

PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 300.0
"""Until the next try; each further pause is twice as long."""


class StartAttempts:
    """The recent starts of one module.

    Args:
        module: Its name.
        pause: Seconds until the first further try after starts have failed.
    """

    def __init__(self, module: str, pause: float = PAUSE_SECONDS) -> None:
        self._module = module
        self._pause = pause
        self._failed = 0
        self._next = 0.0
        self._reason = ""

    @property
    def refusal(self) -> str | None:
        """Why no process is to be started now; None if one may be."""
        if self._failed < TRIES or time.monotonic() >= self._next:
            return None
        return self._reason

    def failed(self, reason: str, output: str = "") -> None:
        """A process could not be started, or ended before it was ready.

        Args:
            reason: Why, in a few words.
            output: What the process wrote to standard error.
        """
        self._failed += 1
        if self._failed < TRIES:
            return
        pause = min(self._pause * 2 ** (self._failed - TRIES), LONGEST_PAUSE_SECONDS)
        self._next = time.monotonic() + pause
        self._reason = f"{self._module} cannot be started: {reason}"
        if self._failed == TRIES:
            log.error(
                "%s; the server does its work itself, and tries again from time to time",
                self._reason,
                extra={FIELDS: {"output": output} if output else {}},
            )

    def succeeded(self) -> None:
        """A process is ready."""
        if self._failed >= TRIES:
            log.info("%s could be started now", self._module)
        self._failed = 0

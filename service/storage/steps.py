"""The steps of reading a whole database: their progress, and what each finds."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from sqlalchemy.exc import NoResultFound

T = TypeVar("T")

HEARTBEAT_SECONDS: Final = 5.0
"""Between two lines of progress of a step that takes long."""


class Steps(ABC):
    """The steps of a long reading: what each found, and its progress.

    Args:
        tell: Gets a line as each step begins, and every HEARTBEAT_SECONDS of a long one.
        clock: Seconds.
    """

    def __init__(
        self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._name = ""
        self._began = self._told = clock()
        self._rows, self._total = 0, 0
        self.findings: list[str] = []

    @abstractmethod
    def damage(self, error: Exception) -> str | None:
        """The damage that a database error reports; None: it is another failure."""

    @abstractmethod
    def watching(self) -> AbstractContextManager[None]:
        """Inside, `beat` is called now and then, also during a statement."""

    def run(self, name: str, work: Callable[[], Iterable[str]], *, total: int = 0) -> bool:
        """Add what `work` finds; False if it met damage, which is a finding too.

        Args:
            name: Of the step.
            work: What to do.
            total: How many rows it will report to `saw`.
        """

        def gather() -> bool:
            self.findings.extend(work())
            return True

        return self.get(name, gather, total=total) or False

    def get(self, name: str, work: Callable[[], T], *, total: int = 0) -> T | None:
        """What `work` reads; None if that was damaged, which is a finding."""
        self._name, self._rows, self._total = name, 0, total
        self._began = self._told = self._clock()
        self._tell(name)
        try:
            with self.watching():
                return work()
        except NoResultFound:
            self.findings.append(f"{name}: a row that must be there is missing")
        except Exception as error:
            damage = self.damage(error)
            if damage is None:
                raise
            self.findings.append(f"{name}: cannot be checked, {damage}")
        return None

    def saw(self, rows: int = 1) -> None:
        self._rows += rows

    def beat(self) -> None:
        now = self._clock()
        if now - self._told >= HEARTBEAT_SECONDS:
            self._told = now
            done = f"{self._rows:,} of {self._total:,}, " if self._total else ""
            self._tell(f"{self._name}: {done}{now - self._began:.0f} s so far")

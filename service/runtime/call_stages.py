"""Where the time of a call goes: its stages, with their beginnings and ends.

Whatever a call passes through notes its stage here, and need not know the call: `current`
is found in the context of the task. A stage inside another one is not noted, so that the
stages of a call add up; what is only a part of a stage has its name and a dot before its own.
Without a call that wants it nothing is noted, nor a clock read.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar, Token
from time import perf_counter
from typing import Final, TypeAlias

MAX_STAGES: Final = 128
"""Stages of one call that are kept one by one: a call that deletes in many steps has
thousands. The seconds of all are counted."""

REQUESTED: Final = frozenset(("stream", "wait"))
"""Stages that last as long as the caller wants them to."""


Stage: TypeAlias = tuple[str, float, float]
"""The name of a stage, and when it began and ended by `time.perf_counter`, which all processes
share. A plain tuple: each call makes ten of them."""


class CallStages:
    """The stages of one call; also noted from threads.

    Attributes:
        noted: The stages, MAX_STAGES at most, in the order in which they ended.
    """

    __slots__ = ("_further", "noted")

    def __init__(self) -> None:
        self.noted: list[Stage] = []
        self._further: dict[str, float] | None = None
        """Seconds by name of those that are not kept one by one."""

    def note(self, name: str, began: float, ended: float) -> None:
        """A stage has ended.

        Args:
            name: One of a few, whatever callers send.
            began: When, by `time.perf_counter`.
            ended: When.
        """
        if len(self.noted) < MAX_STAGES:
            self.noted.append((name, began, ended))
            return
        if self._further is None:
            self._further = {}
        self._further[name] = self._further.get(name, 0.0) + ended - began

    def note_all(self, stages: Iterable[Stage]) -> None:
        """Stages that were noted elsewhere, by what works for several calls at once."""
        for name, began, ended in stages:
            self.note(name, began, ended)

    def seconds(self) -> dict[str, float]:
        """How long the stages of each name took together."""
        took = dict(self._further or {})
        for name, began, ended in tuple(self.noted):
            took[name] = took.get(name, 0.0) + ended - began
        return took


_current: ContextVar[CallStages | None] = ContextVar("call_stages", default=None)


def current() -> CallStages | None:
    """Those of the call that the running task works for; None: they are not wanted."""
    return _current.get()


def enter(stages: CallStages | None) -> Token[CallStages | None]:
    """From now on the running task works for this call; `leave` ends that."""
    return _current.set(stages)


def leave(token: Token[CallStages | None]) -> None:
    _current.reset(token)


class stage:  # noqa: N801  (read as a statement: `with stage("rank"):`)
    """The block is a stage of the current call, if it wants to know.

    Args:
        name: See `CallStages.note`.
        parts: Whether the stages inside are noted: all of them are parts of this one.
    """

    __slots__ = ("_began", "_name", "_parts", "_stages", "_token")

    def __init__(self, name: str, *, parts: bool = False) -> None:
        self._name = name
        self._parts = parts

    def __enter__(self) -> None:
        self._stages = _current.get()
        if self._stages is not None:
            self._token = _current.set(self._stages if self._parts else None)
            self._began = perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._stages is not None:
            self._stages.note(self._name, self._began, perf_counter())
            _current.reset(self._token)

"""On whose behalf a call is made, as its caller says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from service.core.errors import Violation, invalid

ACTOR: Final = "palimpsest-actor"
"""The name of the metadata, which is also that of the header of HTTP."""

MAX_ACTOR: Final = 200
"""Characters, which are bytes, as all are ASCII."""


def actor_of(values: Iterable[str | bytes]) -> str:
    """The actor that a call names; empty if it names none.

    Args:
        values: All that the call sent under the name ACTOR.

    Raises:
        PalimpsestError: INVALID_REQUEST; its message has nothing of the values.
    """
    given = set(values)
    if not given:
        return ""
    if len(given) > 1:
        raise invalid([Violation(ACTOR, "must not be given twice with different values")])
    return check_actor(given.pop())


def check_actor(actor: str | bytes, name: str = ACTOR) -> str:
    """The actor, if it can be one; else raises INVALID_REQUEST, which calls it `name`."""
    if (
        isinstance(actor, bytes)
        or not 1 <= len(actor) <= MAX_ACTOR
        or not (actor.isascii() and actor.isprintable())
    ):
        raise invalid([Violation(name, f"must be 1 to {MAX_ACTOR} printable characters of ASCII")])
    return actor

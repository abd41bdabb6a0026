"""Webhooks: where the changes of a tenant are sent to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from service.core.model.changes import ChangeKind


class WebhookState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    """By the operator."""
    PARKED = "parked"
    """By the service: it has been given up, until the operator resumes it."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """What is sent to where.

    Args:
        url: Where to; its path and query may hold secrets of the receiver.
        secret: The key of the signatures, 24 to 64 bytes.
        containers: Only changes in one of these; empty: in all.
        kinds: Only changes of these; empty: all that are shown.
        allow_private: Whether the receiver may have an address that is not public.
    """

    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    containers: tuple[str, ...] = ()
    kinds: frozenset[ChangeKind] = frozenset()
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it is stored; instants in microseconds.

    Args:
        tenant: Whose changes.
        id: Unique in the database.
        target: What is sent to where.
        position: The revision up to which everything has been delivered, or was not asked for.
        state: Whether it is delivered to.
        failures: How often the next change has failed in a row.
        next_attempt: Not before this instant.
        last_error: Why the last attempt failed, or why it is parked; empty if it did not.
        create_time: When it was added.
    """

    tenant: int
    id: str
    target: WebhookTarget
    position: int
    state: WebhookState
    failures: int
    next_attempt: int
    last_error: str
    create_time: int

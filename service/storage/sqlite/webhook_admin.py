"""What the command line does to webhooks, with or without a server on the database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from service.core import model as m
from service.core.times import system_clock
from service.storage.sqlite import opening, scrubbing
from service.storage.sqlite.connections import transact
from service.storage.webhooks import operations
from service.storage.webhooks.operations import PositionError, UnknownTenantError, WebhookInfo

T = TypeVar("T")

__all__ = [
    "PositionError",
    "UnknownTenantError",
    "WebhookInfo",
    "add_webhook",
    "find_webhook",
    "list_webhooks",
    "pause_webhook",
    "remove_webhook",
    "resume_webhook",
]


def add_webhook(path: Path, tenant: str, target: m.WebhookTarget, after: int | None) -> m.Webhook:
    """See `operations.add`; servers deliver to it within seconds."""
    return _do(path, lambda conn: operations.add(conn, tenant, target, after, system_clock()))


def list_webhooks(path: Path) -> list[WebhookInfo]:
    return _do(path, operations.listed)


def find_webhook(path: Path, name: str) -> WebhookInfo | None:
    return _do(path, lambda conn: operations.find(conn, name))


def remove_webhook(path: Path, name: str) -> bool:
    """True if there was one; its secret leaves the file with the next scrub."""

    def remove(conn: Connection) -> bool:
        info = operations.find(conn, name)
        if info is None:
            return False
        scrubbing.mark(conn)
        operations.remove(conn, info.webhook)
        return True

    return _do(path, remove)


def pause_webhook(path: Path, name: str) -> bool:
    """True if there is one."""

    def pause(conn: Connection) -> bool:
        info = operations.find(conn, name)
        if info is not None:
            operations.pause(conn, info.webhook)
        return info is not None

    return _do(path, pause)


def resume_webhook(path: Path, name: str) -> tuple[int, int] | None:
    """The webhook's positions before and now; None: there is none."""

    def resume(conn: Connection) -> tuple[int, int] | None:
        info = operations.find(conn, name)
        if info is None:
            return None
        return info.webhook.position, operations.resume(conn, info)

    return _do(path, resume)


def _do(path: Path, work: Callable[[Connection], T]) -> T:
    with opening.opened(path) as opened, contextlib.closing(opened.mark):
        return transact(opened.conn, work)

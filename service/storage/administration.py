"""What the command line does to a database, whether or not service processes use it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from service.core import model as m
from service.core.times import system_clock
from service.storage.keys import operations as keys
from service.storage.keys.operations import KeyInfo
from service.storage.webhooks import operations as webhooks
from service.storage.webhooks.operations import WebhookInfo

T = TypeVar("T")


class DamagedSourceError(Exception):
    """The database is damaged, and no backup of it was written."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__(f"{len(findings)} faults found")
        self.findings = findings


class Administration(ABC):
    """One database; what every backend can do.

    Each method raises `schema.StorageRefusedError` where the operator has to decide, and
    errors of the driver, which `opening.explain` puts in words.
    """

    @abstractmethod
    def migrate(self) -> tuple[str | None, str]:
        """Make or migrate the schema: (revision before, revision now)."""

    @abstractmethod
    def check(self, progress: Callable[[str], None]) -> list[str]:
        """Check everything; the findings, none if all is well. `progress` gets lines."""

    @abstractmethod
    def backup(
        self,
        target: Path,
        progress: Callable[[int, int], None],
        verifying: Callable[[str], None],
    ) -> None:
        """Write a consistent and verified copy to `target`."""

    @abstractmethod
    def scrub(self, progress: Callable[[str], None]) -> str:
        """Remove what deletion left in the files; the answer says what is gone, and what not."""

    @abstractmethod
    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, on the current schema."""

    @abstractmethod
    def change_keys(self, work: Callable[[Connection], T], *, revokes: bool = False) -> T:
        """The same for changes of keys.

        Args:
            work: What to do.
            revokes: It takes a key away: it must go through on a full disk, and every service
                process has noticed it when this returns. A new key is looked up when it is
                first used.
        """

    @abstractmethod
    def on_erased(self, conn: Connection) -> None:
        """Note it in the transaction that deletes something."""

    def create_key(
        self,
        *,
        tenant: str,
        label: str,
        containers: Sequence[str],
        read_only: bool,
        expires_at: int | None,
    ) -> tuple[KeyInfo, str]:
        """A new key and its secret, which is shown once and kept nowhere."""
        return self.change_keys(
            lambda conn: keys.create(
                conn,
                tenant=tenant,
                label=label,
                containers=containers,
                read_only=read_only,
                expires_at=expires_at,
                now=system_clock(),
            )
        )

    def list_keys(self) -> list[KeyInfo]:
        """All keys of all tenants, oldest first."""
        return self.transact(keys.listed)

    def revoke_key(self, key_id: str) -> bool:
        """True when there was such a key in force. Service processes refuse it from now on.

        Goes through on a full disk, too.
        """
        return self.change_keys(
            lambda conn: keys.revoke(conn, key_id, system_clock()), revokes=True
        )

    def add_webhook(self, tenant: str, target: m.WebhookTarget, after: int | None) -> m.Webhook:
        """See `webhooks.operations.add`; a service process delivers to it within seconds."""
        return self.transact(lambda conn: webhooks.add(conn, tenant, target, after, system_clock()))

    def list_webhooks(self) -> list[WebhookInfo]:
        """All webhooks of all tenants, oldest first."""
        return self.transact(webhooks.listed)

    def find_webhook(self, name: str) -> WebhookInfo | None:
        """The webhook of an id."""
        return self.transact(lambda conn: webhooks.find(conn, name))

    def remove_webhook(self, name: str) -> bool:
        """True if there was one; its secret leaves the files as other deleted data does."""

        def remove(conn: Connection) -> bool:
            info = webhooks.find(conn, name)
            if info is not None:
                self.on_erased(conn)
                webhooks.remove(conn, info.webhook)
            return info is not None

        return self.transact(remove)

    def pause_webhook(self, name: str) -> bool:
        """True if there is one."""

        def pause(conn: Connection) -> bool:
            info = webhooks.find(conn, name)
            if info is not None:
                webhooks.pause(conn, info.webhook)
            return info is not None

        return self.transact(pause)

    def resume_webhook(self, name: str) -> tuple[int, int] | None:
        """The webhook's positions before and now; None: there is none."""

        def resume(conn: Connection) -> tuple[int, int] | None:
            info = webhooks.find(conn, name)
            if info is None:
                return None
            return info.webhook.position, webhooks.resume(conn, info)

        return self.transact(resume)

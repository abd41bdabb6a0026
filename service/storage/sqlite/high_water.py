"""The high-water mark: how far changes were acknowledged, in a file next to the database.

Each writer records here, after the commit and before the answer, which revision each
tenant has reached. A database that is behind its mark has lost acknowledged changes: its
write-ahead log was removed or cut, or an older copy was put in its place.

The record survives the process, not a power cut: it is synced at checkpoints and at the end
only, so that a commit costs no second sync. The mark is therefore a lower bound. It never
runs ahead of the database, which was synced before.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, func, select

from service.core.digests import Digester
from service.runtime.syncing import sync
from service.storage import schema
from service.storage.backend import KEYS
from service.storage.sqlite.presence import StorageRefusedError
from service.storage.tables import api_keys, tenants

log = logging.getLogger(__name__)

_HEADER = struct.Struct("<8s16s8x")
_RECORD = struct.Struct("<QI4x")
_MAGIC = b"PALMARK1"


class DatabaseBehindError(StorageRefusedError):
    """The database lacks changes that were acknowledged."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The content of a mark. `damaged` are records whose checksum is wrong."""

    identity: bytes
    revisions: dict[int, int]
    damaged: list[int] = field(default_factory=list)
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """The state that a database records of itself."""

    identity: bytes
    revisions: dict[int, int]
    names: dict[int, str]


def mark_path(path: Path) -> Path:
    """The mark of the database at `path`."""
    return path.with_name(path.name + ".mark")


def read_mark(path: Path) -> Mark | None:
    """The mark of the database at `path`; None if none was begun.

    To be read before the database: the other way round, what is committed between the two
    would look lost.
    """
    try:
        data = mark_path(path).read_bytes()
    except FileNotFoundError:
        return None
    if not data.strip(b"\0"):
        return None
    if len(data) < _HEADER.size or data[:8] != _MAGIC:
        return Mark(b"", {}, readable=False)
    _, identity = _HEADER.unpack_from(data)
    mark = Mark(identity, {})
    for tenant, at in enumerate(range(_HEADER.size, len(data), _RECORD.size)):
        record = data[at : at + _RECORD.size]
        if not record.strip(b"\0"):
            continue
        revision = _unpacked(tenant, record)
        if revision is None:
            mark.damaged.append(tenant)
        else:
            mark.revisions[tenant] = revision
    return mark


def standing(conn: Connection) -> Standing:
    """How far the database has come."""
    rows = conn.execute(select(tenants.c.tenant, tenants.c.name, tenants.c.revision)).all()
    revisions = {row.tenant: row.revision for row in rows}
    revisions[KEYS] = key_changes(conn)
    names = {row.tenant: row.name for row in rows}
    identity = Digester(schema.digest_secret(conn)).derived(b"identity")[:16]
    return Standing(identity, revisions, names)


def key_changes(conn: Connection) -> int:
    """How often keys were created or revoked; keys are never deleted."""
    made, revoked = conn.execute(
        select(func.count(), func.count(api_keys.c.revoke_time)).select_from(api_keys)
    ).one()
    return int(made + revoked)


def findings(path: Path, mark: Mark | None, now: Standing) -> list[str]:
    """What the database at `path` lacks of what its mark says; nothing without a mark."""
    if mark is None:
        return []
    name = mark_path(path).name
    if not mark.readable:
        return [f"acknowledged: {name} is damaged and cannot be read"]
    if mark.identity != now.identity:
        return [f"acknowledged: {path.name} is not the database that {name} was written for"]
    found = [
        f"acknowledged: the record of tenant {tenant} in {name} is damaged"
        for tenant in mark.damaged
    ]
    for tenant, acknowledged in mark.revisions.items():
        stored = now.revisions.get(tenant, 0)
        if stored >= acknowledged:
            continue
        missing = acknowledged - stored
        if tenant == KEYS:
            found.append(f"acknowledged: {missing} creations or revocations of keys are missing")
        else:
            whose = now.names.get(tenant, f"number {tenant}, which is not there")
            found.append(
                f"acknowledged: {missing} changes of tenant {whose} are missing "
                f"(it is at revision {stored}, {acknowledged} was acknowledged)"
            )
    return found


def ensure_not_behind(path: Path, mark: Mark | None, now: Standing) -> None:
    """Raises DatabaseBehindError where going on would bury what is missing."""
    if found := findings(path, mark, now):
        name = mark_path(path).name
        raise DatabaseBehindError(
            f"{path} is not as it was left. "
            + "; ".join(finding.removeprefix("acknowledged: ") for finding in found[:5])
            + ". Its write-ahead log was removed or damaged, or an older copy was put in its "
            "place. Put back the missing files or a newer backup; to go on with the database as "
            f"it is, such as a backup that was restored on purpose, remove {name}"
        )


class HighWaterMark:
    """The mark of the database at `path`, for writers; created if it is missing."""

    def __init__(self, path: Path, now: Standing) -> None:
        self._descriptor = os.open(mark_path(path), os.O_CREAT | os.O_RDWR, 0o600)
        self._warned = False
        try:
            self._begin(path, now)
            self.advance(now.revisions)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _begin(self, path: Path, now: Standing) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if os.pread(self._descriptor, _HEADER.size, 0).strip(b"\0"):
                return
            if not os.geteuid():
                # As SQLite does with its own files: a server of another user can use it.
                owner = path.stat()
                os.fchown(self._descriptor, owner.st_uid, owner.st_gid)
            os.pwrite(self._descriptor, _HEADER.pack(_MAGIC, now.identity), 0)
            os.fsync(self._descriptor)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        sync(path.parent)

    def advance(self, revisions: Mapping[int, int]) -> None:
        """Record what was acknowledged of tenants and KEYS; what is higher there stays.

        A failure to write is logged, once: the mark is then lower than it could be.
        """
        try:
            with self._locked():
                for tenant, revision in revisions.items():
                    self._raise_to(tenant, revision)
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning("the high-water mark cannot be written: %s", error.strerror)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps two processes apart, but waits for none: one may have been stopped."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield
            return
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _raise_to(self, tenant: int, revision: int) -> None:
        at = _HEADER.size + _RECORD.size * tenant
        known = _unpacked(tenant, os.pread(self._descriptor, _RECORD.size, at))
        if known is None or known < revision:
            os.pwrite(self._descriptor, _packed(tenant, revision), at)

    def sync(self) -> None:
        """Make the record survive a power cut, too."""
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            self.sync()
            os.close(self._descriptor)
            self._descriptor = -1


def _checksum(tenant: int, revision: int) -> int:
    return zlib.crc32(b"%d:%d" % (tenant, revision))


def _packed(tenant: int, revision: int) -> bytes:
    return _RECORD.pack(revision, _checksum(tenant, revision))


def _unpacked(tenant: int, record: bytes) -> int | None:
    """The revision; None if there is none or it is damaged."""
    if len(record) < _RECORD.size:
        return None
    revision, checksum = _RECORD.unpack(record)
    return revision if checksum == _checksum(tenant, revision) else None

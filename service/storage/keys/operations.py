"""API keys: random, kept only as a hash, bound to a tenant."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from service.core.digests import Digester
from service.core.ids import base62
from service.core.model import Principal
from service.storage import checksums, dialects, schema
from service.storage.tables import api_keys, tenants

_FORM = re.compile(r"pal_[0-9A-Za-z]{12}_[0-9A-Za-z]{44}", re.ASCII)

_BY_HASH = (
    select(api_keys, tenants.c.name)
    .join(tenants, tenants.c.tenant == api_keys.c.tenant)
    .where(api_keys.c.key_hash.in_(bindparam("hashes", expanding=True)))
)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key without its secret; instants in microseconds."""

    key_id: str
    tenant: str
    label: str
    containers: tuple[str, ...] | None
    read_only: bool
    create_time: int
    expire_time: int | None
    revoke_time: int | None


def looks_like_key(token: str) -> bool:
    return _FORM.fullmatch(token) is not None


def named_key(token: str) -> str:
    """The id of the key that a token claims to be; empty if it has not the form of one.

    The id is no secret, and what stands in its place is safe to be logged.
    """
    return token.split("_")[1] if looks_like_key(token) else ""


def hash_key(token: str) -> bytes:
    """SHA-256: keys have 256 bits of entropy, so nothing slower is needed."""
    return hashlib.sha256(token.encode()).digest()


def find(conn: Connection, hashes: Sequence[bytes]) -> dict[bytes, Principal]:
    """The principals of keys that are not revoked, by hash."""
    found: dict[bytes, Principal] = {}
    for row in conn.execute(_BY_HASH, {"hashes": list(hashes)}):
        if row.revoke_time is None:
            tags = None if row.containers is None else frozenset(json.loads(row.containers))
            found[bytes(row.key_hash)] = Principal(
                row.tenant, row.key_id, tags, bool(row.read_only), row.expire_time, row.name
            )
    return found


def tenant_named(conn: Connection, name: str) -> int | None:
    """The number of the tenant of this name, if there is one."""
    tenant = conn.execute(select(tenants.c.tenant).where(tenants.c.name == name)).scalar()
    return None if tenant is None else int(tenant)


def ensure_tenant(conn: Connection, name: str, now: int) -> int:
    """The tenant of this name, created if it is new."""
    tenant = tenant_named(conn, name)
    if tenant is None:
        row = {"name": name, "revision": 0, "last_time": 0, "create_time": now}
        conn.execute(dialects.insert_if_missing(conn, tenants), row)
        tenant = tenant_named(conn, name)
    if tenant is None:
        raise RuntimeError("a tenant that was just created is missing")
    return tenant


def create(
    conn: Connection,
    *,
    tenant: str,
    label: str,
    containers: Sequence[str],
    read_only: bool,
    expires_at: int | None,
    now: int,
) -> tuple[KeyInfo, str]:
    """A new key; its secret is in the answer and nowhere else."""
    key_id = base62(secrets.randbits(71), 12)
    token = f"pal_{key_id}_{base62(secrets.randbits(256), 44)}"
    row: dict[str, Any] = {
        "tenant": ensure_tenant(conn, tenant, now),
        "key_id": key_id,
        "key_hash": hash_key(token),
        "label": label,
        "containers": json.dumps(sorted(containers)) if containers else None,
        "read_only": int(read_only),
        "create_time": now,
        "expire_time": expires_at,
    }
    row["checksum"] = checksums.of_key(Digester(schema.digest_secret(conn)), row)
    conn.execute(insert(api_keys).values({**row, "read_only": read_only}))
    return (
        KeyInfo(
            key_id,
            tenant,
            label,
            tuple(sorted(containers)) or None,
            read_only,
            now,
            expires_at,
            None,
        ),
        token,
    )


def any_key(conn: Connection) -> bool:
    return bool(conn.execute(select(func.count()).select_from(api_keys)).scalar_one())


def listed(conn: Connection) -> list[KeyInfo]:
    """All keys of all tenants, oldest first."""
    joined = api_keys.join(tenants, tenants.c.tenant == api_keys.c.tenant)
    rows = conn.execute(
        select(api_keys, tenants.c.name)
        .select_from(joined)
        .order_by(api_keys.c.create_time, api_keys.c.key_id)
    )
    return [_info(row) for row in rows]


def _info(row: Any) -> KeyInfo:
    return KeyInfo(
        row.key_id,
        row.name,
        row.label,
        None if row.containers is None else tuple(json.loads(row.containers)),
        bool(row.read_only),
        row.create_time,
        row.expire_time,
        row.revoke_time,
    )


def revoke(conn: Connection, key_id: str, now: int) -> bool:
    """True when there was such a key and it was not revoked before."""
    result = conn.execute(
        update(api_keys)
        .where(api_keys.c.key_id == key_id, api_keys.c.revoke_time.is_(None))
        .values(revoke_time=now)
    )
    return result.rowcount == 1

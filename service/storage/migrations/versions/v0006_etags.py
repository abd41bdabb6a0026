"""Etags are keyed by tenant, so that equal documents of two tenants have unequal ones.

The documents' etags are made again: a caller that holds one from before is told ABORTED
once, and an upsert of what is there already is still recognised as no change. An etag that
is not that of its document tells of damage, and stays.

Revision ID: 0006
"""

import base64
import json
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

STEP = 1000
"""Documents read, and written, at once."""

TEXT = 1
"""The content kind that etags leave out."""

_ROWS = sa.text(
    "/* every document */ SELECT tenant, id, content_hash, metadata, containers, title,"
    " document_date, kind, etag"
    " FROM documents WHERE (tenant, id) > (:tenant, :id) ORDER BY tenant, id LIMIT :step"
)
_SET = sa.text("UPDATE documents SET etag = :etag WHERE tenant = :tenant AND id = :id")
_SECRET = sa.text("SELECT value FROM secrets WHERE name = 'digest'")


def upgrade() -> None:
    conn = op.get_bind()
    secret = conn.execute(_SECRET).scalar_one_or_none()
    if secret is None:  # A database without a secret has no documents yet.
        return
    after = {"tenant": 0, "id": ""}
    while rows := conn.execute(_ROWS, {**after, "step": STEP}).all():
        new = [
            {"tenant": row.tenant, "id": row.id, "etag": _etag(secret, row, _salt(row.tenant))}
            for row in rows
            if row.etag == _etag(secret, row, b"")
        ]
        if new:
            conn.execute(_SET, new)
        after = {"tenant": rows[-1].tenant, "id": rows[-1].id}


def _salt(tenant: int) -> bytes:
    return tenant.to_bytes(8, "big", signed=True)


def _etag(secret: bytes, row: sa.Row[Any], salt: bytes) -> str:
    """Empty for a document that cannot be read."""
    try:
        tags = "\0".join(json.loads(row.containers))
    except (ValueError, TypeError):
        return ""
    kinds = () if row.kind == TEXT else (row.kind,)
    parts = (bytes(row.content_hash), row.metadata, tags, row.title, row.document_date, *kinds)
    framed = bytearray()
    for part in parts:
        if part is None:
            framed += b"-"
            continue
        data = part if isinstance(part, bytes) else str(part).encode()
        framed += b"%d:%b" % (len(data), data)
    digest = blake2b(framed, digest_size=12, key=secret[:64], salt=salt, person=b"etag")
    return base64.urlsafe_b64encode(digest.digest()).decode()

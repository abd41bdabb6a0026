"""The oldest change that is kept, and tags of deleted containers out of what is.

Revision ID: 0003
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_AT_ONCE = 1000


def upgrade() -> None:
    op.add_column(
        "tenants",
        sa.Column("oldest_revision", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
    )
    op.create_table(
        "erased_containers",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("container", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "container", name=op.f("pk_erased_containers")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "/* migrate */ INSERT INTO erased_containers (tenant, container, revision) "
        "SELECT tenant, container, max(revision) FROM changes "
        "WHERE kind = 'container.deleted' GROUP BY tenant, container"
    )
    _strip_receipts(op.get_bind())


def _strip_receipts(conn: sa.Connection) -> None:
    """Receipts of memories named their container, which the repeated call names itself."""
    page = sa.text(
        "/* migrate */ SELECT tenant, request_id, receipt FROM requests "
        "WHERE (tenant, request_id) > (:t, :r) ORDER BY tenant, request_id LIMIT :most"
    )
    put = sa.text(
        "/* migrate */ UPDATE requests SET receipt = :receipt WHERE tenant = :t AND request_id = :r"
    )
    after = {"t": -1, "r": ""}
    while rows := conn.execute(page, {**after, "most": _AT_ONCE}).all():
        changed = [
            {"t": row.tenant, "r": row.request_id, "receipt": _stripped(row.receipt)}
            for row in rows
            if '"MemoryReceipt"' in row.receipt
        ]
        if changed:
            conn.execute(put, changed)
        after = {"t": rows[-1].tenant, "r": rows[-1].request_id}


def _stripped(receipt: str) -> str:
    return json.dumps(_without_tags(json.loads(receipt)), separators=(",", ":"))


def _without_tags(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_tags(item) for item in value]
    if not isinstance(value, dict):
        return value
    [(name, fields)] = value.items()
    if name == "MemoryReceipt":
        return {name: [fields[0], "", *fields[2:]]}
    return {name: _without_tags(fields)}

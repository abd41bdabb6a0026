"""The first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("containers", sa.Text(), nullable=True),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=True),
        sa.Column("revoke_time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "key_id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "changes",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("container", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("entity_id", sa.String(length=100), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "revision", "container", name=op.f("pk_changes")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_changes_tenant_container_revision"),
        "changes",
        ["tenant", "container", "revision"],
        unique=False,
    )
    op.create_table(
        "containers",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("container", sa.String(length=100), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("documents", sa.BigInteger(), nullable=False),
        sa.Column("memories", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "container", name=op.f("pk_containers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "document_containers",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("container", sa.String(length=100), nullable=False),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant", "container", "document_id", name=op.f("pk_document_containers")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_document_containers_tenant_container_revision"),
        "document_containers",
        ["tenant", "container", "revision"],
        unique=False,
    )
    op.create_table(
        "document_contents",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document_id", name=op.f("pk_document_contents")),
    )
    op.create_table(
        "documents",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("custom_id", sa.String(length=100), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("comparable", sa.Text(), nullable=False),
        sa.Column("containers", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("document_date", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("etag", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_documents")),
        sa.UniqueConstraint("tenant", "custom_id", name=op.f("uq_documents_tenant_custom_id")),
    )
    op.create_index(
        op.f("ix_documents_tenant_revision"), "documents", ["tenant", "revision"], unique=False
    )
    op.create_table(
        "jobs",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("queue_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document_id", name=op.f("pk_jobs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memories",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("container", sa.String(length=100), nullable=False),
        sa.Column("root_id", sa.String(length=40), nullable=False),
        sa.Column("parent_id", sa.String(length=40), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("comparable", sa.Text(), nullable=False),
        sa.Column("is_static", sa.Boolean(), nullable=False),
        sa.Column("document_date", sa.Text(), nullable=True),
        sa.Column("document_instant", sa.BigInteger(), nullable=True),
        sa.Column("event_dates", sa.Text(), nullable=False),
        sa.Column("event_instants", sa.Text(), nullable=False),
        sa.Column("source_document_id", sa.String(length=40), nullable=True),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_memories")),
        sa.UniqueConstraint(
            "tenant", "root_id", "version", name=op.f("uq_memories_tenant_root_id_version")
        ),
    )
    op.create_index(
        op.f("ix_memories_tenant_source_document_id"),
        "memories",
        ["tenant", "source_document_id"],
        unique=False,
        sqlite_where=sa.text("source_document_id IS NOT NULL"),
        postgresql_where=sa.text("source_document_id IS NOT NULL"),
    )
    op.create_table(
        "memory_spans",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("memory_id", sa.String(length=40), nullable=False),
        sa.Column("shown_from", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("container", sa.String(length=100), nullable=False),
        sa.Column("root_id", sa.String(length=40), nullable=False),
        sa.Column("shown_until", sa.BigInteger(), nullable=False),
        sa.Column("state_until", sa.BigInteger(), nullable=False),
        sa.Column("end_kind", sa.SmallInteger(), nullable=False),
        sa.Column("forget_after", sa.BigInteger(), nullable=True),
        sa.Column("forget_reason", sa.Text(), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=False),
        sa.Column("forget_batch_id", sa.String(length=40), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "memory_id", "shown_from", name=op.f("pk_memory_spans")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_memory_spans_due",
        "memory_spans",
        ["end_kind", "shown_until"],
        unique=False,
        sqlite_where=sa.text("forget_after IS NOT NULL"),
        postgresql_where=sa.text("forget_after IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_memory_spans_tenant_container_content_hash_end_kind"),
        "memory_spans",
        ["tenant", "container", "content_hash", "end_kind"],
        unique=False,
    )
    op.create_index(
        op.f("ix_memory_spans_tenant_container_end_kind_memory_id"),
        "memory_spans",
        ["tenant", "container", "end_kind", "memory_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_memory_spans_tenant_container_end_kind_root_id_memory_id"),
        "memory_spans",
        ["tenant", "container", "end_kind", "root_id", "memory_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_memory_spans_tenant_forget_batch_id"),
        "memory_spans",
        ["tenant", "forget_batch_id"],
        unique=False,
        sqlite_where=sa.text("forget_batch_id IS NOT NULL"),
        postgresql_where=sa.text("forget_batch_id IS NOT NULL"),
    )
    op.create_table(
        "requests",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "request_id", name=op.f("pk_requests")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_requests_create_time"), "requests", ["create_time"], unique=False)
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )

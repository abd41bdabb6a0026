"""A custom id is unique in the first of its document's containers, its home.

Custom ids stay as they are: they were unique in the whole tenant. The table of documents is
made again, since SQLite cannot drop the old constraint.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_COLUMNS = (
    "content_hash, metadata, comparable, containers, title, document_date, status, etag,"
    " revision, create_time, update_time, error, attempts, kind"
)
# A damaged list of containers is for `palimpsest check` to report, not for a migration.
_HOME = """coalesce(
    CASE WHEN json_valid(containers) THEN json_extract(containers, '$[0]') END,
    (SELECT min(j.container) FROM document_containers j
     WHERE j.tenant = documents.tenant AND j.document_id = documents.id),
    '')"""

_COPY = f"""/* every document */
    INSERT INTO documents_new (tenant, id, custom_id, home, {_COLUMNS})
    SELECT tenant, id, custom_id, {_HOME}, {_COLUMNS} FROM documents"""  # noqa: S608


def upgrade() -> None:
    op.create_table(
        "documents_new",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("custom_id", sa.String(length=100), nullable=True),
        sa.Column("home", sa.String(length=100), nullable=False),
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
        sa.Column("kind", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_documents")),
        sa.UniqueConstraint(
            "tenant", "custom_id", "home", name=op.f("uq_documents_tenant_custom_id_home")
        ),
    )
    op.execute(_COPY)
    op.drop_table("documents")
    op.rename_table("documents_new", "documents")
    op.create_index(
        op.f("ix_documents_tenant_revision"), "documents", ["tenant", "revision"], unique=False
    )
    op.create_table(
        "shared_custom_ids",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("container", sa.String(length=100), nullable=False),
        sa.Column("custom_id", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant", "document_id", "container", name=op.f("pk_shared_custom_ids")
        ),
    )
    op.create_index(
        op.f("ix_shared_custom_ids_tenant_custom_id_container"),
        "shared_custom_ids",
        ["tenant", "custom_id", "container"],
        unique=False,
    )
    op.execute(
        "/* every document */ INSERT INTO shared_custom_ids"
        " (tenant, document_id, container, custom_id)"
        " SELECT d.tenant, d.id, j.container, d.custom_id FROM documents d"
        " JOIN document_containers j ON j.tenant = d.tenant AND j.document_id = d.id"
        " WHERE d.custom_id IS NOT NULL AND j.container <> d.home"
    )

"""Content kinds, leases of jobs, chunks, and what makes rows findable.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "documents",
        sa.Column("kind", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
    )
    op.alter_column("jobs", "queue_time", new_column_name="due_time")
    op.add_column("jobs", sa.Column("lane", sa.String(100), server_default="", nullable=False))
    op.add_column("jobs", sa.Column("holder", sa.String(40), nullable=True))
    op.add_column(
        "jobs", sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(
        op.f("ix_jobs_tenant_lane_due_time"), "jobs", ["tenant", "lane", "due_time"], unique=False
    )
    op.create_table(
        "embedders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("dimension", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedders")),
        sa.UniqueConstraint("name", name=op.f("uq_embedders_name")),
    )
    op.create_table(
        "chunks",
        sa.Column("tenant", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chunk_id", sa.String(length=40), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column("ends", sa.Integer(), nullable=False),
        sa.Column("heading", sa.LargeBinary(), nullable=False),
        sa.Column("speaker", sa.LargeBinary(), nullable=False),
        sa.Column("instant", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.Column("embedder", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "document_id", "position", name=op.f("pk_chunks")),
    )
    op.create_index(
        "ix_chunks_embedder",
        "chunks",
        ["embedder", "tenant", "document_id", "position"],
        unique=False,
    )
    op.add_column(
        "memories",
        sa.Column("embedder", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("memories", sa.Column("entry", sa.LargeBinary(), nullable=True))
    op.add_column("memories", sa.Column("vector", sa.LargeBinary(), nullable=True))
    op.create_index("ix_memories_embedder", "memories", ["embedder", "tenant", "id"], unique=False)

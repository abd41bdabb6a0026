"""Entries are found by the version of the analysis that made them, too.

Those of an older one are made again in the background. The number of the schema also keeps
an older release from a database whose entries it could not read.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_VERSION = sa.text("substr(entry, 1, 1)")
"""The first byte of an entry."""


def upgrade() -> None:
    op.drop_index("ix_chunks_embedder", "chunks")
    op.create_index(
        "ix_chunks_indexed",
        "chunks",
        ["embedder", _VERSION, "tenant", "document_id", "position"],
        unique=False,
    )
    op.drop_index("ix_memories_embedder", "memories")
    op.create_index(
        "ix_memories_indexed", "memories", ["embedder", _VERSION, "tenant", "id"], unique=False
    )

"""Changes, and versions of memories, say on whose behalf they were made.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for table in ("changes", "memories"):
        op.add_column(table, sa.Column("actor", sa.String(length=200), nullable=True))

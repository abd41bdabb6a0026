"""Chunks have the UTC offset of their message's time.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("chunks", sa.Column("utc_offset", sa.Integer(), nullable=True))

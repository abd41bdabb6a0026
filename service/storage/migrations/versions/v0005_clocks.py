"""Jobs that wait for nothing are due whatever the clock says.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # What is held stays as it is: its lease ends by the clock once more, and for the last time.
    # The comment says that it visits every row, and is meant to.
    op.execute(
        "/* upgrade */ UPDATE jobs SET due_time = revision WHERE holder IS NULL AND attempts = 0"
    )
    op.create_index(
        "ix_jobs_put_off",
        "jobs",
        ["due_time"],
        unique=False,
        sqlite_where=sa.text("due_time > 1000000000000"),
        postgresql_where=sa.text("due_time > 1000000000000"),
    )

"""How often a job was put back by an outage or an error: each time it rests longer.

Attempts of unfinished jobs begin anew: until now every claim that ran out was one, even of a slow machine.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_UNFINISHED = {"upload_jobs": ("queued", "checking"), "recommendation_exports": ("queued", "running")}


def upgrade() -> None:
    for table, unfinished in _UNFINISHED.items():
        op.add_column(table, sa.Column("rests", sa.Integer(), nullable=False, server_default="0"))
        jobs = sa.table(table, sa.column("status", sa.String), sa.column("attempts", sa.Integer))
        op.execute(sa.update(jobs).where(jobs.c.status.in_(unfinished)).values(attempts=0))


def downgrade() -> None:
    for table in _UNFINISHED:
        op.drop_column(table, "rests")

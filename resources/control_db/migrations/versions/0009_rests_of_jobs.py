"""How often a job was put back by an outage or an error: each time it rests longer."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = ("upload_jobs", "recommendation_exports")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("rests", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "rests")

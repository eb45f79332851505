"""Uploads that do not count any more: withdrawn by their shop, or set aside by a run."""

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COLUMNS = ("withdrawn_at", "set_aside_at", "set_aside_reason", "left_out_run")


def upgrade() -> None:
    op.add_column("uploads", sa.Column("withdrawn_at", UtcDateTime(timezone=True), nullable=True))
    op.add_column("uploads", sa.Column("set_aside_at", UtcDateTime(timezone=True), nullable=True))
    op.add_column("uploads", sa.Column("set_aside_reason", sa.Text(), nullable=True))
    op.add_column("uploads", sa.Column("left_out_run", sa.String(length=64), nullable=True))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("uploads", name)

"""Plans and usage."""

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_USAGE = ("usage_statements", "usage_turns", "usage_runs", "usage_samples", "usage_batches", "usage_daily")


def upgrade() -> None:
    """Make the tables of usage and those of plans."""
    _usage()
    _plans()


def _usage() -> None:
    def tenant() -> sa.Column[str]:
        return sa.Column("tenant_id", sa.String(length=63), nullable=False)

    amounts = ("calls", "recommended_items", "events", "uploaded_rows", "training_ms", "cpu_ms")
    op.create_table(
        "usage_daily",
        tenant(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key_id", sa.String(length=80), nullable=False),
        sa.Column("operation", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in amounts),
        sa.PrimaryKeyConstraint("tenant_id", "day", "key_id", "operation", "status"),
    )
    op.create_table(
        "usage_batches",
        sa.Column("worker", sa.String(length=80), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("written_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker"),
    )
    op.create_table(
        "usage_samples",
        tenant(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "day", "kind"),
    )
    op.create_table(
        "usage_runs",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        tenant(),
        sa.Column("process", sa.String(length=120), nullable=False),
        sa.Column("noted_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("cpu_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("ix_usage_runs_tenant_id", "usage_runs", ["tenant_id"], unique=False)
    op.create_table(
        "usage_turns",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=80), nullable=False),
        sa.Column("until", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "usage_statements",
        tenant(),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("made_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("told_at", UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "month"),
    )
    op.create_index("ix_usage_statements_month", "usage_statements", ["month"], unique=False)


def _plans() -> None:
    """Make no table yet."""


def downgrade() -> None:
    """Drop them again."""
    for table in _USAGE:
        op.drop_table(table)

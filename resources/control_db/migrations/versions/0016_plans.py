"""Plans and usage."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_USAGE = ("usage_statements", "usage_runs", "usage_samples", "usage_batches", "usage_daily")

_PLANS = ("plan_requests", "quota_warnings", "quota_overrides", "plans")


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
    op.create_table(
        "plans",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("changed_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=254), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )

    def of_tenant(name: str, *columns: sa.Column[Any], key: tuple[str, ...]) -> None:
        op.create_table(
            name,
            sa.Column("tenant_id", sa.String(length=63), nullable=False),
            *columns,
            sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
            sa.PrimaryKeyConstraint(*key),
        )

    of_tenant(
        "quota_overrides",
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("amount", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ends_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("made_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.String(length=254), nullable=False),
        key=("tenant_id", "meter"),
    )
    of_tenant(
        "quota_warnings",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("share", sa.Integer(), nullable=False),
        sa.Column("amount", sa.String(length=32), nullable=False),
        sa.Column("used", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        key=("tenant_id", "month", "meter", "share", "amount"),
    )
    of_tenant(
        "plan_requests",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("plan", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(length=254), nullable=False),
        sa.Column("asked_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("done_at", UtcDateTime(timezone=True), nullable=True),
        key=("id",),
    )
    op.create_index("ix_plan_requests_tenant_id", "plan_requests", ["tenant_id"], unique=False)


def downgrade() -> None:
    """Drop them again."""
    for table in (*_PLANS, *_USAGE):
        op.drop_table(table)

"""Exports of the recommendations of all users, as jobs."""

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recommendation_exports",
        sa.Column("tenant_id", sa.String(length=63), sa.ForeignKey("tenants.id"), primary_key=True),
        sa.Column("job_id", sa.String(length=80), primary_key=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("claimed_by", sa.String(length=64)),
        sa.Column("claimed_until", UtcDateTime(timezone=True)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("scenario", sa.Text()),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("release_version", sa.String(length=80)),
        sa.Column("users_done", sa.BigInteger(), nullable=False),
        sa.Column("users_total", sa.BigInteger()),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("error_code", sa.String(length=64)),
        sa.Column("message", sa.Text()),
        sa.Column("started_at", UtcDateTime(timezone=True)),
        sa.Column("completed_at", UtcDateTime(timezone=True)),
    )
    op.create_index(op.f("ix_recommendation_exports_status"), "recommendation_exports", ["status"])


def downgrade() -> None:
    op.drop_table("recommendation_exports")

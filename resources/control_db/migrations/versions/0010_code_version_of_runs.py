"""Which version of the code a run worked with: what failed under an earlier one is worth another run."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("code_version", sa.String(length=64), nullable=True))
    op.create_index("ix_runs_tenant_time", "runs", ["tenant_id", "started_at"])
    op.drop_index("ix_runs_tenant_id", "runs")


def downgrade() -> None:
    op.create_index("ix_runs_tenant_id", "runs", ["tenant_id"])
    op.drop_index("ix_runs_tenant_time", "runs")
    op.drop_column("runs", "code_version")

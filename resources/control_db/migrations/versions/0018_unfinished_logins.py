"""Log-ins in two steps: what is kept between them."""

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "unfinished_logins",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_unfinished_logins_expires_at", "unfinished_logins", ["expires_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("unfinished_logins")

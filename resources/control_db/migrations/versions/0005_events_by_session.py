"""Events by visit: an answer for an anonymous visitor looks them up."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_session", "events", ["tenant_id", "session_id", "seq"])


def downgrade() -> None:
    op.drop_index("ix_events_session", "events")

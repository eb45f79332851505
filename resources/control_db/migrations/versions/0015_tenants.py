"""The life of tenants: their plan, currency and time zone, why they are stopped, and when they are erased."""

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("plan", sa.String(length=64)),
    ("currency", sa.String(length=3)),
    ("timezone", sa.String(length=64)),
    ("created_by", sa.String(length=254)),
    ("suspended_reason", sa.Text()),
    ("suspended_by", sa.String(length=254)),
    ("suspended_at", UtcDateTime(timezone=True)),
    ("erase_after", UtcDateTime(timezone=True)),
    ("erased_at", UtcDateTime(timezone=True)),
)


def upgrade() -> None:
    """Add what is known of a tenant; of those that are there already it is not."""
    for name, kind in _COLUMNS:
        op.add_column("tenants", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Take it away again."""
    for name, _ in reversed(_COLUMNS):
        op.drop_column("tenants", name)

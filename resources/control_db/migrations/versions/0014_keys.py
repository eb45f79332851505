"""What keys may be bound to, how they end, and when they were used."""

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every key that there is is a secret one, without an end and bound to nothing."""
    for column in (
        sa.Column("kind", sa.String(length=16), nullable=False, server_default="secret"),
        sa.Column("made_by", sa.String(length=200), nullable=True),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("rotated_to", sa.String(length=32), nullable=True),
        sa.Column("last_used_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_route", sa.String(length=200), nullable=True),
        sa.Column("addresses", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("origins", sa.JSON(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("told_days", sa.Integer(), nullable=True),
    ):
        op.add_column("api_keys", column)
    op.create_index(op.f("ix_api_keys_expires_at"), "api_keys", ["expires_at"], unique=False)


def downgrade() -> None:
    """Go back; a key that was bound to something would open more than it may, so it is revoked."""
    keys = sa.table("api_keys", sa.column("revoked_at"), sa.column("kind"), sa.column("expires_at"))
    bound = sa.text("kind <> 'secret' OR expires_at IS NOT NULL OR CAST(addresses AS TEXT) <> '[]'")
    op.execute(keys.update().where(keys.c.revoked_at.is_(None), bound).values(revoked_at=sa.func.current_timestamp()))
    op.drop_index(op.f("ix_api_keys_expires_at"), "api_keys")
    for name in (
        *("told_days", "origins", "addresses", "last_route", "last_used_at"),
        *("rotated_to", "expires_at", "made_by", "kind"),
    ):
        op.drop_column("api_keys", name)

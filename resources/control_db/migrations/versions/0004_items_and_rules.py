"""Changes of items by API, merchandising rules, the version of a tenant's state, idempotency keys of writes."""

import sqlalchemy as sa
from alembic import op

from resources.control_db.tables.base import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "item_changes",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, primary_key=True),
        sa.Column("tenant_id", sa.String(length=63), sa.ForeignKey("tenants.id"), nullable=False),
        sa.Column("item_id", sa.String(length=256), nullable=False),
        sa.Column("action", sa.String(length=8), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_item_changes_tenant_seq", "item_changes", ["tenant_id", "seq"])
    op.create_index("ix_item_changes_item", "item_changes", ["tenant_id", "item_id", "seq"])
    op.create_table(
        "item_intakes",
        sa.Column("tenant_id", sa.String(length=63), sa.ForeignKey("tenants.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
    )
    op.create_table(
        "rules",
        sa.Column("id", sa.String(length=40), primary_key=True),
        sa.Column("tenant_id", sa.String(length=63), sa.ForeignKey("tenants.id"), nullable=False),
        sa.Column("rule", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", UtcDateTime(timezone=True), nullable=False),
    )
    op.create_index(op.f("ix_rules_tenant_id"), "rules", ["tenant_id"])
    op.create_table(
        "tenant_versions",
        sa.Column("tenant_id", sa.String(length=63), sa.ForeignKey("tenants.id"), primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "write_keys",
        sa.Column("tenant_id", sa.String(length=63), sa.ForeignKey("tenants.id"), primary_key=True),
        sa.Column("key_hash", sa.String(length=64), primary_key=True),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
    )
    op.create_index(op.f("ix_write_keys_created_at"), "write_keys", ["created_at"])


def downgrade() -> None:
    for table in ("write_keys", "tenant_versions", "rules", "item_intakes", "item_changes"):
        op.drop_table(table)

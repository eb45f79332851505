"""A sequence number of the event log is never used twice, also after the newest events were erased.

SQLite gives a new row the number after the greatest one that is there, unless the table is made with AUTOINCREMENT.
An event with an old number would lie below the watermarks of exports and releases, and be lost.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("events", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("events", recreate="always"):
            pass

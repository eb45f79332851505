"""Ids of tracked events and of changed items get the one form that every way in gives them now.

What an earlier version stored in two forms, such as é in one letter and in two, would be two users. Ids of events stay:
they only have to be equal to themselves. There is no way back, and none is needed: earlier versions read the new form.
"""

import sqlalchemy as sa
from alembic import op

from resources.base.ids import normalise_id

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_IDS = {"events": ("user_id", "item_id", "session_id"), "item_changes": ("item_id",)}


def upgrade() -> None:
    connection = op.get_bind()
    for name, columns in _IDS.items():
        for column in columns:
            table = sa.table(name, sa.column("tenant_id", sa.String()), sa.column(column, sa.String()))
            stored = table.c[column]
            found = connection.execute(sa.select(table.c.tenant_id, stored).where(stored.is_not(None)).distinct()).all()
            for tenant_id, old in found:
                if (new := normalise_id(str(old))) and new != old:
                    this = sa.and_(table.c.tenant_id == tenant_id, stored == old)
                    connection.execute(sa.update(table).where(this).values({column: new}))


def downgrade() -> None:
    """Change nothing."""

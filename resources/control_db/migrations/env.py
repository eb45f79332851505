"""Alembic's entry: the connection comes from `resources.control_db.engine`."""

from alembic import context

from resources.control_db.metadata import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

"""Alembic's entry: the connection comes from `resources.control_db.engine`."""

from alembic import context

from resources.control_db.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

"""The tables, as SQLAlchemy sees them. Everything outside `control_db/` uses frozen records instead."""

"""All tables of the control DB together, for what makes, compares or copies every one of them."""

from __future__ import annotations

from resources.control_db.tables import (
    audit,
    catalogue,
    events,
    jobs,
    keys,
    people,
    plans,
    sessions,
    tenants,
    uploads,
    webhooks,
)
from resources.control_db.tables.base import Base

MODULES = (audit, catalogue, events, jobs, keys, people, plans, sessions, tenants, uploads, webhooks)
"""The modules of the tables: importing one makes its tables known."""
METADATA = Base.metadata

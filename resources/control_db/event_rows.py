"""Rows of events: whose they are."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from resources.base.ids import spelled
from resources.base.tenant import TenantId
from resources.control_db.tables.events import EventRow

NOBODY = ""
"""`user_id` of an event of a visitor who is not known; no id is empty."""


def events_about(tenant: TenantId, user_id: str) -> ColumnElement[bool]:
    """Return the condition of the events that say something of a user: the user's own, and those of visitors who were
    not known yet, in visits that became the user's. The id may be there in another form."""
    own, forms = aliased(EventRow), spelled(user_id)
    visits = select(own.session_id).where(
        own.tenant_id == tenant.value, own.user_id.in_(forms), own.session_id.is_not(None)
    )
    before = (EventRow.user_id == NOBODY) & EventRow.session_id.in_(visits)
    return (EventRow.tenant_id == tenant.value) & (EventRow.user_id.in_(forms) | before)

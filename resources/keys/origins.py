"""The web origins of all browser keys: pages of these may call the API."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select

from resources.access.key_kinds import OWN_PAGES
from resources.control_db.engine import ControlDb
from resources.control_db.tables.keys import ApiKeyRow
from resources.control_db.tables.tenants import TenantRow


def origins_of_browser_keys(db: ControlDb, *, now: datetime) -> frozenset[str]:
    """Return the origins that some active browser key of an active tenant is bound to."""
    unended = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now)
    found = (
        select(ApiKeyRow.origins)
        .join(TenantRow, TenantRow.id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.kind == "browser", ApiKeyRow.revoked_at.is_(None), unended, TenantRow.status == "active")
    )
    with db.read() as session:
        return frozenset(origin for origins in session.scalars(found) for origin in origins) - {OWN_PAGES}

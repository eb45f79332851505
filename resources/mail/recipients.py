"""Whom of a tenant mail goes to that is about the tenant as a whole."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.people import MemberRow, MembershipRow


def managers_of(session: Session, tenant: TenantId) -> tuple[str, ...]:
    """Addresses of the owners and admins who can log in, in their order."""
    found = (
        select(MemberRow.email)
        .join(MembershipRow, MembershipRow.member_id == MemberRow.id)
        .where(
            MembershipRow.tenant_id == tenant.value,
            MembershipRow.role.in_(("owner", "admin")),
            MemberRow.status == "active",
        )
        .order_by(MemberRow.email)
    )
    return tuple(session.scalars(found))

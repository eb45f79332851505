"""One number per tenant that grows with every change of its items, of its rules and of how answers are made, in the
transaction of the change.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.tenants import TenantVersionRow


def state_version(db: ControlDb, tenant: TenantId) -> int:
    """The tenant's number now; 0 before the first change."""
    with db.read() as session:
        return read_state_version(session, tenant)


def read_state_version(session: Session, tenant: TenantId) -> int:
    """The tenant's number, as this transaction sees it."""
    statement = select(TenantVersionRow.version).where(TenantVersionRow.tenant_id == tenant.value)
    return session.scalar(statement) or 0


def raise_state_version(session: Session, tenant: TenantId) -> None:
    """Let the number grow when this transaction commits. The caller has taken its turn for the tenant."""
    row = session.get(TenantVersionRow, tenant.value)
    if row is None:
        session.add(TenantVersionRow(tenant_id=tenant.value, version=1))
    else:
        row.version += 1

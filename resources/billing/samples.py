"""The daily sample of what a tenant has stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.errors import CorruptRelease, NoRelease, ReleaseNotFound
from resources.base.tenant import TenantId
from resources.control_db.tables.plans import UsageSampleRow
from resources.databases.inserting import insert_into
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake
from resources.storage.listing import list_files

_LONGEST_KIND = 34


def measure_stored(lake: Lake, tenant: TenantId) -> dict[str, int]:
    """Return the bytes of the tenant's files in the lake by folder (`bytes:uploads`, …), and the `items` and `users`
    that its live release knows. What of it lies in databases has no size of its own."""
    found: Counter[str] = Counter()
    for file in list_files(lake.tenant(tenant).root):
        folder = file.name.split("/", 1)[0] if "/" in file.name else "other"
        found[f"bytes:{folder[:_LONGEST_KIND]}"] += file.size
    items, users = _known(lake, tenant)
    return {**found, "items": items, "users": users}


def tenants_sampled(session: Session, day: date) -> frozenset[str]:
    """Return the tenants that have their sample of a day."""
    return frozenset(session.scalars(select(UsageSampleRow.tenant_id).where(UsageSampleRow.day == day).distinct()))


def store_sample(session: Session, tenant: TenantId, day: date, amounts: Mapping[str, int]) -> None:
    """Store the sample of a day; a second one of the same day takes the place of the first."""
    new = insert_into(session.get_bind(), UsageSampleRow)
    statement = new.on_conflict_do_update(
        index_elements=list(UsageSampleRow.__table__.primary_key), set_={"amount": new.excluded.amount}
    )
    rows = [{"tenant_id": tenant.value, "day": day, "kind": kind, "amount": amounts[kind]} for kind in sorted(amounts)]
    session.execute(statement, rows)


def _known(lake: Lake, tenant: TenantId) -> tuple[int, int]:
    store = ReleaseStore(lake.tenant(tenant))
    try:
        counts = store.manifest(store.live_version()).counts
    except (NoRelease, ReleaseNotFound, CorruptRelease):
        return 0, 0
    return counts.items, counts.users

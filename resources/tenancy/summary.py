"""What a tenant has, counted no further than a person wants to know: before it is suspended, moved or erased."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from resources.control_db.tables.events import EventRow
from resources.control_db.tables.keys import ApiKeyRow
from resources.control_db.tables.people import MembershipRow
from resources.control_db.tables.uploads import UploadRow
from resources.control_db.tenants import get_tenant
from resources.decisions.store import DecisionStore
from resources.release.store import ReleaseStore
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore

MOST = 10_000
"""Counting ends here: a list of millions is not read for a dialog."""


@dataclass(frozen=True, slots=True)
class Count:
    """A number of things; `capped`: there are this many or more."""

    count: int
    capped: bool = False

    @classmethod
    def of(cls, number: int) -> Count:
        """The count of something that was counted up to one more than `MOST`."""
        return cls(min(number, MOST), number > MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSummary:
    """What a tenant has. `rows` are accepted ones of its uploads; `bytes` are of the first `MOST` files of the lake."""

    uploads: Count
    rows: int
    events: Count
    answers: Count
    releases: Count
    members: Count
    api_keys: Count
    files: Count
    bytes: int
    live_release: str | None


def summarise_tenant(store: TenantStore, decisions: DecisionStore) -> TenantSummary:
    """Count what the tenant has.

    Raises:
        TenantNotFound: no tenant has this id.
        CorruptRelease: the pointer to the live release cannot be read.
    """
    get_tenant(store.db, store.tenant)
    tenant = store.tenant.value
    files = list(islice(list_files(store.folder.root), MOST + 1))
    releases = ReleaseStore(store.folder)
    with store.db.read() as session:
        rows = session.scalar(select(func.sum(UploadRow.rows_accepted)).where(UploadRow.tenant_id == tenant))
        return TenantSummary(
            uploads=_capped(session, UploadRow.tenant_id == tenant, UploadRow.sequence),
            rows=int(rows or 0),
            events=_capped(session, EventRow.tenant_id == tenant, EventRow.seq),
            answers=Count.of(decisions.count_of_tenant(store.tenant, most=MOST + 1)),
            releases=Count.of(len(releases.list(most=MOST + 1))),
            members=_capped(session, MembershipRow.tenant_id == tenant, MembershipRow.member_id),
            api_keys=_capped(session, (ApiKeyRow.tenant_id == tenant) & ApiKeyRow.revoked_at.is_(None), ApiKeyRow.id),
            files=Count.of(len(files)),
            bytes=sum(file.size for file in files[:MOST]),
            live_release=releases.current(),
        )


def _capped(session: Session, condition: ColumnElement[bool], column: Any) -> Count:
    some = select(column).where(condition).limit(MOST + 1).subquery()
    return Count.of(session.scalar(select(func.count()).select_from(some)) or 0)

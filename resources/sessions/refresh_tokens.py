"""Refresh tokens: 7 days, each used once, stored as hashes. Those that followed from one log-in are a family,
which ends 30 days after the log-in, however often it is used.

A token that comes a second time has been copied, or its client has sent several requests at once. Within
`GRACE_SECONDS` of its first use, and from the address of that, it is answered with another token of the family; at any
other time the family ends, and with it whoever has a copy.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import Forbidden, Unauthenticated
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.control_db.tables.sessions import RefreshTokenRow
from resources.people.members import hold_member
from resources.people.memberships import Membership, memberships_of
from resources.people.one_time_links import hash_token

REFRESH_DAYS = 7
FAMILY_DAYS = 30
"""After how long a log-in ends whatever happens: then the password is asked for again."""
GRACE_SECONDS = 10.0
KEPT_DAYS = 30
"""How long an expired one is kept: the addresses that somebody has logged in from. The first of a family is there until
the family ends, as its `created_at` is when that began."""
_BYTES = 32


@dataclass(frozen=True, slots=True)
class LoginClient:
    """Where a person logs in from: the address, what the browser or program calls itself, and the request."""

    address: str
    browser: str
    request_id: str | None = None

    def actor(self, member: MemberRow) -> Actor:
        """Return the person as the one who does something."""
        return Actor(
            kind="member",
            id=member.id,
            name=member.email,
            source="api",
            address=self.address,
            request_id=self.request_id,
        )


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A new refresh token, and for whom it is. `membership` is the shop that it is for."""

    token: str
    family: str
    member: MemberRow
    membership: Membership | None
    memberships: tuple[Membership, ...]


def begin_family(
    session: Session, member: MemberRow, membership: Membership | None, client: LoginClient, *, now: datetime
) -> Refreshed:
    """Hand out the first token of a log-in. The caller holds the member."""
    shops = memberships_of(session, member.id)
    return _add(session, f"fam-{secrets.token_hex(8)}", member, membership, shops, client, now)


def refresh(
    db: ControlDb, token: str, client: LoginClient, *, tenant: TenantId | None = None, now: datetime
) -> Refreshed:
    """Take a refresh token for a new one; with `tenant`, for another shop of the person.

    Raises:
        Unauthenticated: the token is not valid, has run out, or was used before; in that case its family has ended.
        Forbidden: the person does not belong to that shop.
    """
    with db.write() as session:
        refreshed = _refresh(session, token, client, tenant, now)
    if refreshed is None:  # told only now: the end of the family had to be stored
        raise _not_valid()
    return refreshed


def _refresh(
    session: Session, token: str, client: LoginClient, tenant: TenantId | None, now: datetime
) -> Refreshed | None:
    hashed = hash_token(token)
    row = session.get(RefreshTokenRow, hashed)
    if row is None:
        return None
    # Whoever uses or ends a token of the person has the person's row: nothing is handed out beside the end of a family.
    member = hold_member(session, row.member_id)
    session.refresh(row)
    if row.revoked_at is not None or row.expires_at <= now:
        return None
    if member.status != "active" or member.version != row.member_version:
        return None
    if row.used_at is None:
        row.used_at, row.address, row.browser = now, client.address, client.browser
    elif now - row.used_at > timedelta(seconds=GRACE_SECONDS) or row.address != client.address:
        end_family(session, row.family, now=now)
        change = Change(action="session.replay", object_kind="session", object_id=row.family)
        record(session, client.actor(member), change, tenant=None, now=now)
        return None
    shops = memberships_of(session, member.id)
    membership = next((each for each in shops if each.tenant == tenant), None)
    if tenant is None:
        membership = next((each for each in shops if each.tenant.value == row.tenant_id), shops[0] if shops else None)
    elif membership is None:
        raise Forbidden(f"You do not belong to {tenant}; GET /api/v1/me lists the shops that you belong to.")
    return _add(session, row.family, member, membership, shops, client, now)


def end_family(session: Session, family: str, *, now: datetime) -> None:
    """End the tokens of one log-in; its access tokens end within 5 s. The caller holds the member."""
    session.execute(
        update(RefreshTokenRow)
        .where(RefreshTokenRow.family == family, RefreshTokenRow.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def log_out(db: ControlDb, token: str, client: LoginClient, *, now: datetime) -> None:
    """End the family of a token. One that is not known, or has ended, changes nothing."""
    with db.write() as session:
        row = session.get(RefreshTokenRow, hash_token(token))
        if row is None:
            return
        member = hold_member(session, row.member_id)
        session.refresh(row)
        if row.revoked_at is not None:
            return
        end_family(session, row.family, now=now)
        change = Change(action="session.end", object_kind="session", object_id=row.family)
        record(session, client.actor(member), change, tenant=_tenant(row), now=now)


def last_tenant(session: Session, member_id: str) -> str | None:
    """Return the shop that a member had last."""
    newest = select(RefreshTokenRow.tenant_id).where(
        RefreshTokenRow.member_id == member_id, RefreshTokenRow.tenant_id.is_not(None)
    )
    return session.scalars(newest.order_by(RefreshTokenRow.created_at.desc()).limit(1)).first()


def _add(
    session: Session,
    family: str,
    member: MemberRow,
    membership: Membership | None,
    shops: tuple[Membership, ...],
    client: LoginClient,
    now: datetime,
) -> Refreshed:
    began = session.scalar(select(func.min(RefreshTokenRow.created_at)).where(RefreshTokenRow.family == family)) or now
    token = f"rt_{secrets.token_urlsafe(_BYTES)}"
    row = RefreshTokenRow(
        token_hash=hash_token(token),
        family=family,
        member_id=member.id,
        member_version=member.version,
        tenant_id=None if membership is None else membership.tenant.value,
        address=client.address,
        browser=client.browser[:255],
        created_at=now,
        expires_at=min(now + timedelta(days=REFRESH_DAYS), began + timedelta(days=FAMILY_DAYS)),
    )
    session.add(row)
    session.flush()
    return Refreshed(token, family, member, membership, shops)


def _tenant(row: RefreshTokenRow) -> TenantId | None:
    return None if row.tenant_id is None else TenantId(row.tenant_id)


def _not_valid() -> Unauthenticated:
    return Unauthenticated("The refresh token is not valid, or has ended. Log in again.")

"""Links that were mailed to a member and open something once. Only the hash of what is in them is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.base.errors import LinkExpired, LinkNotValid
from resources.control_db.tables.people import MemberRow, OneTimeLinkRow

Purpose = Literal["verify", "reset", "log_in"]
LIFETIMES: Mapping[Purpose, timedelta] = MappingProxyType(
    {"verify": timedelta(days=3), "reset": timedelta(minutes=30), "log_in": timedelta(minutes=10)}
)
"""How long a link is good for."""
AN_HOUR = 5
"""Links of one purpose that one member is sent within an hour."""
_LONGEST_TOKEN = 200


@dataclass(frozen=True, slots=True)
class Link:
    """What a link stands for."""

    member_id: str
    data: Mapping[str, Any]
    expires_at: datetime


def new_link(
    session: Session, member_id: str, purpose: Purpose, *, now: datetime, data: Mapping[str, Any] | None = None
) -> str:
    """Make a link; return its token, which is not stored: 256 random bits, in letters that an address may hold."""
    token = new_token()
    row = OneTimeLinkRow(
        token_hash=hash_token(token),
        member_id=member_id,
        purpose=purpose,
        data=dict(data or {}),
        created_at=now,
        expires_at=now + LIFETIMES[purpose],
    )
    session.add(row)
    return token


def links_of_late(session: Session, member_id: str, purpose: Purpose, now: datetime) -> int:
    """How many links of this purpose the member was sent within the hour."""
    lately = (
        OneTimeLinkRow.member_id == member_id,
        OneTimeLinkRow.purpose == purpose,
        OneTimeLinkRow.created_at > now - timedelta(hours=1),
    )
    return session.scalar(select(func.count()).select_from(OneTimeLinkRow).where(*lately)) or 0


def read_link(session: Session, token: str, purpose: Purpose, now: datetime) -> Link:
    """Return what a link stands for, and leave it as it is.

    Raises:
        LinkNotValid: there is none, or it was used; LinkExpired: its time is over.
    """
    return _link(session.get(OneTimeLinkRow, hash_token(token)), purpose, now)


def use_link(session: Session, token: str, purpose: Purpose, now: datetime) -> Link:
    """Use a link, and all others of the same purpose that its member holds; of two who try, one gets it.

    Raises:
        LinkNotValid: there is none, or it was used; LinkExpired: its time is over.
    """
    held = session.get(OneTimeLinkRow, hash_token(token), with_for_update=True, populate_existing=True)
    link = _link(held, purpose, now)
    end_links(session, link.member_id, purpose, now)
    return link


def end_links(session: Session, member_id: str, purpose: Purpose, now: datetime) -> None:
    """Let all links of a purpose that a member holds open nothing any more."""
    unused = (
        OneTimeLinkRow.member_id == member_id,
        OneTimeLinkRow.purpose == purpose,
        OneTimeLinkRow.used_at.is_(None),
    )
    session.execute(update(OneTimeLinkRow).where(*unused).values(used_at=now))


def new_token() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """SHA-256 of a token, in hex: nobody guesses 256 random bits, so a slow hash would protect no better."""
    return hashlib.sha256(token[:_LONGEST_TOKEN].encode("utf-8", "replace")).hexdigest()


def as_member(way: Actor, member: MemberRow) -> Actor:
    """Return the actor of somebody who has shown by a link, and not by a log-in, that they are this member."""
    return Actor(
        kind="member",
        id=member.id,
        name=member.email,
        source=way.source,
        address=way.address,
        request_id=way.request_id,
    )


def _link(row: OneTimeLinkRow | None, purpose: Purpose, now: datetime) -> Link:
    if row is None or row.purpose != purpose or row.used_at is not None:
        raise LinkNotValid("The link is not valid, or was used already. Open the newest one, or ask for another.")
    if now >= row.expires_at:
        raise LinkExpired("The time of this link is over. Ask for another one.")
    return Link(row.member_id, row.data, row.expires_at)

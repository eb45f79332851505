"""Showing that mail to a member's address reaches the member."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import LinkNotValid, TooManyRequests
from resources.control_db.tables.people import MemberRow
from resources.mail.queue import queue_mail
from resources.people.members import hold_member
from resources.people.one_time_links import AN_HOUR, LIFETIMES, as_member, links_of_late, new_link, use_link


def send_verification(session: Session, member: MemberRow, *, site_url: str, now: datetime) -> None:
    """Mail a link by which the member shows that the address is theirs; nothing where that is known.

    Raises:
        TooManyRequests: several were sent within the hour.
    """
    member = hold_member(session, member.id)
    if member.email_verified_at is not None:
        return
    if links_of_late(session, member.id, "verify", now) >= AN_HOUR:
        raise TooManyRequests(
            f"{AN_HOUR} mails were sent within an hour. Look into the mailbox, also among unwanted mails, or ask "
            "again later."
        )
    token = new_link(session, member.id, "verify", now=now, data={"email": member.email})
    values = {"link": f"{site_url}/verify/{token}", "email": member.email, "days": LIFETIMES["verify"].days}
    queue_mail(session, member.email, "verify", values, tenant=None, now=now)


def verify_address(session: Session, token: str, *, way: Actor, now: datetime) -> MemberRow:
    """Note that the address of the member whom the link was sent to is theirs.

    Raises:
        LinkNotValid: there is no such link, it was used, or it was sent to an address that the member had before.
        LinkExpired: its time is over.
    """
    link = use_link(session, token, "verify", now)
    member = hold_member(session, link.member_id)
    if link.data.get("email") != member.email:
        raise LinkNotValid("The link was sent to another address than the present one. Ask for another link.")
    member.email_verified_at = member.email_verified_at or now
    change = Change(action="member.verify", object_kind="member", object_id=member.id, after={"email": member.email})
    record(session, as_member(way, member), change, tenant=None, now=now)
    return member

"""Setting a forgotten password anew, by a link that is mailed to the member."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.control_db.tables.people import MemberRow
from resources.mail.queue import mails_of_late, queue_mail
from resources.people.members import end_everything, hold_member, member_by_email, member_by_id
from resources.people.one_time_links import (
    AN_HOUR,
    LIFETIMES,
    as_member,
    links_of_late,
    new_link,
    read_link,
    use_link,
)
from resources.people.second_factor import forget_second_factor


def ask_for_reset(session: Session, email: str, *, site_url: str, now: datetime) -> None:
    """Mail a link to the member with this address, if there is one; whoever asks is told nothing of it.

    Nothing is sent to a suspended member, nor more than `AN_HOUR` times within an hour: a stranger who asks again and
    again fills nobody's mailbox, and a link that was sent stays good.
    """
    member = member_by_email(session, email)
    if member is None:
        return
    member = hold_member(session, member.id)  # two who ask at once are counted one after the other
    if member.status != "active" or links_of_late(session, member.id, "reset", now) >= AN_HOUR:
        return
    if member.password_hash is None and member.sso_issuer is not None:
        if mails_of_late(session, member.email, "no_password", tenant=None, now=now) >= AN_HOUR:
            return
        queue_mail(session, member.email, "no_password", {"link": f"{site_url}/login"}, tenant=None, now=now)
        return
    token = new_link(session, member.id, "reset", now=now)
    minutes = LIFETIMES["reset"].total_seconds() / 60
    values = {"link": f"{site_url}/reset/{token}", "minutes": round(minutes)}
    queue_mail(session, member.email, "reset", values, tenant=None, now=now)


def email_of_reset(session: Session, token: str, now: datetime) -> str:
    """Return the address of the member whose password a link sets anew; the link stays as it is.

    Raises:
        LinkNotValid: there is no such link, or it was used; LinkExpired: its time is over.
    """
    return member_by_id(session, read_link(session, token, "reset", now).member_id).email


def reset_password(session: Session, token: str, password_hash: str, *, way: Actor, now: datetime) -> MemberRow:
    """Set the password that a link is for; all tokens and sessions of the member end, and a mail tells of it.

    The mail has arrived, so the address is verified by that. Where it was not verified before, somebody else may have
    made the account with it: a second factor that they set up would lock its owner out, and is taken away.

    Args:
        way: how the request came: source, address and request id count.

    Raises:
        LinkNotValid: there is no such link, or it was used; LinkExpired: its time is over.
    """
    link = use_link(session, token, "reset", now)
    member = hold_member(session, link.member_id)
    member.password_hash = password_hash
    end_everything(member)
    if member.email_verified_at is None:
        forget_second_factor(session, member)
        member.email_verified_at = now
    change = Change(action="password.reset", object_kind="member", object_id=member.id)
    record(session, as_member(way, member), change, tenant=None, now=now)
    queue_mail(session, member.email, "password_changed", {"email": member.email}, tenant=None, now=now)
    return member

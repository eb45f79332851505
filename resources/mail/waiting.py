"""Mails that wait: taking one to send, and writing down what became of it.

A mail that was taken is nobody else's for `LEASE`, which its holder renews: a process that dies gives it back by that.
So a mail goes out twice only where a process ends after the server has taken it and before that is written down.

Mails of a suspended tenant wait until it is resumed. Those that are of no tenant never do: links to log in or to set a
password, what concerns an account, invitations to the office, and what is said about a suspension.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from resources.control_db.tables.people import MailRow
from resources.control_db.tables.tenants import TenantRow

LEASE = timedelta(seconds=20)
"""How long a mail that was taken outlives the process that took it."""
GIVEN_UP_AFTER = timedelta(days=2)
"""How long a mail is tried that the server does not take."""
TRIED_AT_LEAST = 10
"""How often such a mail is tried however old it is: it may have waited for its tenant to be resumed."""
KEPT = timedelta(days=90)
"""How long it is known that a mail was sent, or was given up."""
_FIRST_REST = timedelta(seconds=5)
_LONGEST_REST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that was taken to be sent. `attempts` counts this one, and says which of those who took it holds it."""

    id: str
    recipient: str
    template: str
    subject: str
    body: str
    attempts: int
    created_at: datetime


def any_waits(session: Session, now: datetime) -> bool:
    """Tell whether some mail could be taken now."""
    return session.scalar(_waiting(now).with_only_columns(MailRow.id).limit(1)) is not None


def take_mail(session: Session, now: datetime) -> Mail | None:
    """Take the mail that has waited longest, for `LEASE`; None when none waits."""
    found = _waiting(now).order_by(MailRow.not_before, MailRow.id).limit(1).with_for_update(skip_locked=True)
    row = session.scalars(found).one_or_none()
    if row is None:
        return None
    row.attempts += 1
    row.not_before = now + LEASE
    return Mail(row.id, row.recipient, row.template, row.subject, row.body or "", row.attempts, row.created_at)


def keep_mail(session: Session, mail: Mail, now: datetime) -> bool:
    """Hold a mail that was taken for another `LEASE`; tell whether it still was its holder's."""
    return _changed(session, mail, not_before=now + LEASE)


def mark_sent(session: Session, mail: Mail, now: datetime) -> bool:
    """Write down that a mail is out, and forget what it said; tell whether it still was its holder's."""
    return _changed(session, mail, sent_at=now, body=None, error=None)


def mark_failed(session: Session, mail: Mail, reason: str, now: datetime, *, for_good: bool) -> bool:
    """Write down that a mail could not be sent: it is tried later, or given up; return whether it is given up."""
    tried = now - mail.created_at >= GIVEN_UP_AFTER and mail.attempts >= TRIED_AT_LEAST
    given_up = for_good or tried
    if given_up:
        _changed(session, mail, failed_at=now, body=None, error=reason[:500])
    else:
        _changed(session, mail, not_before=now + rest_of_mail(mail.attempts), error=reason[:500])
    return given_up


def rest_of_mail(attempts: int) -> timedelta:
    """How long a mail rests after so many attempts: 5 s, twice as long each time, an hour at most."""
    return min(_FIRST_REST * (1 << min(max(attempts, 1) - 1, 12)), _LONGEST_REST)


def remove_old_mails(session: Session, now: datetime) -> None:
    """Forget mails that were sent or given up `KEPT` ago."""
    before = now - KEPT
    session.execute(delete(MailRow).where(or_(MailRow.sent_at < before, MailRow.failed_at < before)))


def _waiting(now: datetime) -> Select[MailRow]:
    stopped = exists().where(TenantRow.id == MailRow.tenant_id, TenantRow.status == "suspended")
    return select(MailRow).where(
        MailRow.sent_at.is_(None), MailRow.failed_at.is_(None), MailRow.not_before <= now, ~stopped
    )


def _changed(session: Session, mail: Mail, **values: Any) -> bool:
    held = (MailRow.id == mail.id, MailRow.attempts == mail.attempts, MailRow.sent_at.is_(None))
    done = cast("CursorResult[Any]", session.execute(update(MailRow).where(*held).values(**values)))
    return done.rowcount == 1

"""How often a log-in may fail, so that nobody can guess, and nobody can keep somebody else out.

Every attempt is counted before the password is looked at, and given back when it was right, so that many at the same
time are no more than one after the other.

- **Account and address together**: after 5 failures within 15 minutes, 15 minutes of rest.
- **Address**: after 20 failures within 15 minutes over all accounts, 15 minutes of rest.
- **Account**, over all addresses that it was not logged in to from before: after 20 failures, one minute of rest after
  each further one, until there was none for 15 minutes.

An address that somebody has logged in from of late is held by the first rule alone. So a stranger slows down log-ins
from new addresses at most, and for a minute at a time; and colleagues behind one address do not stop each other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from resources.base.errors import TooManyAttempts
from resources.control_db.tables.people import MemberRow
from resources.control_db.tables.sessions import LoginFailureRow, RefreshTokenRow, SessionRow
from resources.databases.inserting import insert_into

PAIR_FAILURES = 5
ADDRESS_FAILURES = 20
ACCOUNT_FAILURES = 20
WINDOW = timedelta(minutes=15)
ACCOUNT_REST = timedelta(minutes=1)
SIGNUPS = 20
"""Shops that may be signed up from one address within `WINDOW`."""
RESETS = 20
"""Links to set a password anew that may be asked for from one address within `WINDOW`."""
FAILURES_KEPT = timedelta(days=1)
"""How long failures are known after the last of them."""
_LONGEST_WAIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that was let through and counted.

    `failures`: how many there are of this account from this address, this one among them.
    """

    email: str
    address: str
    known: bool
    failures: int

    @property
    def wait_seconds(self) -> float:
        """How long the answer to a failure is held back: 0 for the first, then 0.25, 0.5, 1 and 2 s."""
        return 0.0 if self.failures < 2 else min(_LONGEST_WAIT_SECONDS, 0.25 * 2 ** (self.failures - 2))


def admit(session: Session, email: str, address: str, *, now: datetime) -> Attempt:
    """Count an attempt to log in, which is given back when it was right.

    Raises:
        TooManyAttempts: too many have failed; nothing is counted then.
    """
    known = _knows(session, email, address)
    if not known:  # in one order, so that transactions that want the same rows do not wait for each other in a circle
        _count(session, _address(address), ADDRESS_FAILURES, WINDOW, now)
        _count(session, _account(email), ACCOUNT_FAILURES, ACCOUNT_REST, now)
    failures = _count(session, _pair(email, address), PAIR_FAILURES, WINDOW, now)
    return Attempt(email, address, known, failures)


def take_back(session: Session, attempt: Attempt) -> None:
    """Count one less: the attempt was no guess."""
    limits = {} if attempt.known else {_address(attempt.address): ADDRESS_FAILURES}
    limits |= {} if attempt.known else {_account(attempt.email): ACCOUNT_FAILURES}
    for name, limit in {**limits, _pair(attempt.email, attempt.address): PAIR_FAILURES}.items():
        row = session.scalars(select(LoginFailureRow).where(LoginFailureRow.name == name).with_for_update()).first()
        if row is not None:
            row.failures = max(0, row.failures - 1)
            if row.failures < limit:
                row.blocked_until = None


def forget_failures(session: Session, attempt: Attempt) -> None:
    """Begin anew for this account and address: the person was logged in."""
    take_back(session, attempt)
    session.execute(delete(LoginFailureRow).where(LoginFailureRow.name == _pair(attempt.email, attempt.address)))


def count_signup(session: Session, address: str, *, now: datetime) -> None:
    """Count a shop that is signed up from an address.

    Raises:
        TooManyAttempts: there were too many.
    """
    _count(session, f"signup:{_hashed(address)}", SIGNUPS, WINDOW, now)


def count_reset(session: Session, address: str, *, now: datetime) -> None:
    """Count a link to set a password anew that is asked for from an address, for whomever.

    Raises:
        TooManyAttempts: there were too many.
    """
    _count(session, f"reset:{_hashed(address)}", RESETS, WINDOW, now)


def forget_account(session: Session, email: str) -> None:
    """Begin anew for an account over all addresses: its owner has set the password anew by a mail."""
    session.execute(delete(LoginFailureRow).where(LoginFailureRow.name == _account(email)))


def _count(session: Session, name: str, limit: int, rest: timedelta, now: datetime) -> int:
    new = insert_into(session.get_bind(), LoginFailureRow).values(name=name, failures=0, first_at=now, last_at=now)
    # An update of nothing, which has the row where it is there: one that is let be could be deleted before it is held.
    session.execute(new.on_conflict_do_update(index_elements=["name"], set_={"name": name}))
    held = select(LoginFailureRow).where(LoginFailureRow.name == name).with_for_update()
    row = session.scalars(held.execution_options(populate_existing=True)).one()
    if row.blocked_until is not None and now < row.blocked_until:
        raise _too_many(row.blocked_until - now)
    ended = row.blocked_until is not None or now - row.first_at >= WINDOW
    if rest < WINDOW:  # the short rest of an account comes again until nothing was tried for long
        ended = now - row.last_at >= WINDOW
    if ended:
        row.failures, row.first_at = 0, now
    row.failures += 1
    row.last_at = now
    row.blocked_until = now + rest if row.failures >= limit else None
    session.flush()
    return row.failures


def _knows(session: Session, email: str, address: str) -> bool:
    tokens = exists().where(RefreshTokenRow.member_id == MemberRow.id, RefreshTokenRow.address == address)
    browsers = exists().where(SessionRow.member_id == MemberRow.id, SessionRow.address == address)
    return session.scalars(select(MemberRow.id).where(MemberRow.email == email, tokens | browsers)).first() is not None


def _too_many(rest: timedelta) -> TooManyAttempts:
    seconds = max(1, ceil(rest.total_seconds()))
    minutes = ceil(seconds / 60)
    return TooManyAttempts(
        f"Too many attempts have failed. Wait {minutes} minute{'s' if minutes > 1 else ''} and try again, or have a "
        "link to set a new password sent to you.",
        retry_after=seconds,
    )


def _pair(email: str, address: str) -> str:
    return f"pair:{_hashed(f'{email}|{address}')}"


def _account(email: str) -> str:
    return f"account:{_hashed(email)}"


def _address(address: str) -> str:
    return f"address:{_hashed(address)}"


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

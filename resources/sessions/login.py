"""Logging in by e-mail, password and, where there is one, a second factor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import (
    Conflict,
    FieldProblem,
    Forbidden,
    InvalidInput,
    LoginRefused,
    RecsaasError,
    SecondFactorRequired,
)
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MemberRow
from resources.mail.queue import queue_mail
from resources.people.members import end_everything, hold_member, member_by_email, member_by_id, one_email
from resources.people.memberships import Membership, memberships_of
from resources.people.passwords import hash_password, renewed_hash, same_password, verify_password
from resources.people.second_factor import check, required
from resources.sessions.refresh_tokens import LoginClient, last_tenant
from resources.sessions.throttle import Attempt, admit, forget_failures, take_back

Result = TypeVar("Result")
Begin = Callable[[Session, MemberRow, Membership | None], Result]
"""What begins with a log-in, in its transaction: a family of refresh tokens, or the session of a browser."""


@dataclass(frozen=True, slots=True)
class Login:
    """What somebody shows to log in. `tenant`: the shop to go to, else the one of last time, or the first."""

    email: str
    password: str = field(repr=False)
    client: LoginClient
    code: str | None = field(default=None, repr=False)
    tenant: TenantId | None = None


@dataclass(frozen=True, slots=True)
class ShownPassword:
    """Whose password was right. `version`: the member's at that moment; another one means that it may not be by now."""

    member_id: str
    version: int
    password_hash: str = field(repr=False)


def log_in(db: ControlDb, login: Login, begin: Begin[Result], *, now: datetime) -> Result:
    """Check what is shown, and begin whatever goes with being logged in.

    An address that nobody has and a wrong password have the same answer and the same work: one hash is computed, and as
    much is read and written.

    Raises:
        LoginRefused: address or password are wrong.
        SecondFactorRequired: the six digits are missing or wrong.
        TooManyAttempts: too many have failed.
        Forbidden: the person is suspended, or does not belong to `tenant`.
        InvalidInput: the address is none.
    """
    attempt, shown = check_password(db, login, now=now)
    renewed = renewed_hash(shown.password_hash, login.password)  # before the write, which others wait for
    with db.write() as session:
        member = _held(session, shown, attempt)
        refusal = _refusal(session, member, login, now)
        if refusal is None:
            forget_failures(session, attempt)
            membership, refusal = chosen_shop(session, member.id, login.tenant)
        elif login.code is None:  # the password was right, so it was no guess
            take_back(session, attempt)
        if refusal is None:
            member.password_hash = renewed or member.password_hash
            return begin_login(session, member, membership, begin, login.client, now=now)
    raise refusal


def begin_login(
    session: Session,
    member: MemberRow,
    membership: Membership | None,
    begin: Begin[Result],
    client: LoginClient,
    *,
    way: str | None = None,
    now: datetime,
) -> Result:
    """Let in whoever has shown who they are, and whom the caller holds: it is noted, and what goes with it begins.

    Args:
        membership: the shop that they log in to.
        way: how, where it was not by a password.
    """
    member.last_login_at = now
    after = None if way is None else {"by": way}
    change = Change(action="session.begin", object_kind="member", object_id=member.id, after=after)
    shop = None if membership is None else membership.tenant
    record(session, client.actor(member), change, tenant=shop, now=now)
    return begin(session, member, membership)


def check_password(db: ControlDb, login: Login, *, now: datetime) -> tuple[Attempt, ShownPassword]:
    """Return the attempt, which is counted, and whose password it was; whoever goes on from there holds the member
    and looks at the version again.

    Raises:
        LoginRefused, TooManyAttempts, InvalidInput: as `log_in`.
    """
    email = one_email(login.email)
    with db.write() as session:
        attempt = admit(session, email, login.client.address, now=now)
        member = member_by_email(session, email)
        shown = None if member is None else ShownPassword(member.id, member.version, member.password_hash or "")
    if verify_password(None if shown is None else shown.password_hash, login.password) and shown is not None:
        return attempt, shown
    with db.write() as session:
        record(session, _stranger(login.client), _refused(attempt), tenant=None, now=now)
    raise LoginRefused(wait_seconds=attempt.wait_seconds)


def change_password(
    db: ControlDb, member_id: str, current: str, new: str, begin: Begin[Result], client: LoginClient, *, now: datetime
) -> Result:
    """Give a member a new password, which ends all tokens and sessions of theirs, and begin a new one.

    Raises:
        LoginRefused: the current password is wrong; it counts as a failed log-in.
        TooManyAttempts: too many have failed.
        InvalidInput: the new password is not good enough, or the one there was.
        Conflict: the person has no password.
    """
    with db.read() as session:
        member = member_by_id(session, member_id)
    if member.password_hash is None:
        raise Conflict("You log in without a password. To set one, have a link sent to you: forgotten password.")
    hashed = hash_password(new, email=member.email)
    attempt, shown = check_password(db, Login(member.email, current, client), now=now)
    if same_password(new, current):
        told = "is the one that you have; take another"
        raise InvalidInput(f"The new password {told}.", details=(FieldProblem("new_password", told),))
    with db.write() as session:
        row = _held(session, shown, attempt)
        forget_failures(session, attempt)
        row.password_hash = hashed
        end_everything(row)
        change = Change(action="member.password", object_kind="member", object_id=row.id)
        record(session, client.actor(row), change, tenant=None, now=now)
        queue_mail(session, row.email, "password_changed", {"email": row.email}, tenant=None, now=now)
        membership, _ = chosen_shop(session, row.id)
        return begin(session, row, membership)


def _refusal(session: Session, member: MemberRow, login: Login, now: datetime) -> RecsaasError | None:
    """Return why somebody who knows the password does not get in."""
    if member.status != "active":
        return Forbidden("Your account is suspended. Ask the operator of this service to resume it.")
    if not required(member):
        return None
    if login.code is None:
        return SecondFactorRequired("Send the six digits of your authenticator as code, or a recovery code.")
    if not check(session, member, login.code, now):
        return SecondFactorRequired("The code is not valid now, or was used. Send the next one of your authenticator.")
    return None


def _held(session: Session, shown: ShownPassword, attempt: Attempt) -> MemberRow:
    """Return the member, held, whose password was right, and is so still.

    Raises:
        LoginRefused: it was changed since; it counts as a failure, as that of before is wrong now.
    """
    member = hold_member(session, shown.member_id)
    if member.version != shown.version:
        raise LoginRefused(wait_seconds=attempt.wait_seconds)
    return member


def chosen_shop(
    session: Session, member_id: str, wanted: TenantId | None = None
) -> tuple[Membership | None, Forbidden | None]:
    """Return the shop to go to, or why there is none: the one named, that of last time, the first active one."""
    shops, last = memberships_of(session, member_id), last_tenant(session, member_id)
    if wanted is not None:
        found = next((each for each in shops if each.tenant == wanted), None)
        return found, None if found is not None else Forbidden(
            f"You do not belong to {wanted}. Leave tenant_id out, and the answer lists the shops that you belong to."
        )
    ordered = sorted(shops, key=lambda each: (each.tenant_status != "active", each.tenant.value != last))
    return (ordered[0] if ordered else None), None


def _refused(attempt: Attempt) -> Change:
    # Whoever guesses may have typed anything, a password in place of the address as well: neither is kept.
    return Change(action="login.refuse", object_kind="login", object_id="-", after={"failures": attempt.failures})


def _stranger(client: LoginClient) -> Actor:
    return Actor(
        kind="system",
        id="login",
        name="login",
        source="api",
        address=client.address,
        request_id=client.request_id,
    )

"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes that stand in for it, once each."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyotp
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, FieldProblem, InvalidInput
from resources.control_db.tables.people import MemberRow, RecoveryCodeRow
from resources.mail.queue import queue_mail
from resources.people.members import end_everything, hold_member
from resources.people.one_time_links import hash_token

OfficePolicy = Literal["off", "required"]
STEP_SECONDS = 30
WINDOW = 1
"""Steps before and after the present one whose codes are taken: clocks of telephones are off by so much."""
RECOVERY_CODES = 10
_DIGITS = 6
_ISSUER = "recsaas"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # pragma: allowlist secret
"""Of recovery codes: none that is easily read as another."""
_GROUPS, _GROUP = 4, 4


@dataclass(frozen=True, slots=True)
class NewFactor:
    """What an authenticator is set up with, shown once: a secret in base 32, and an address that a QR code may hold."""

    secret: str
    otpauth_url: str


def required(member: MemberRow) -> bool:
    """Whether the member logs in with a code."""
    return member.totp_confirmed_at is not None


def missing(member: MemberRow, policy: OfficePolicy) -> bool:
    """Whether the member has to set a second factor up before they may do anything for the platform."""
    return policy == "required" and member.office_role is not None and not required(member)


def begin_second_factor(session: Session, member_id: str, *, now: datetime) -> NewFactor:
    """Make a secret for a member's authenticator; it counts from its first code on, by `confirm_second_factor`.

    Raises:
        NotFound: there is no such member.
        Conflict: a second factor is set up.
    """
    member = hold_member(session, member_id)
    if required(member):
        raise Conflict("A second factor is set up already. Take it away first, and then set another one up.")
    secret = pyotp.random_base32()
    member.totp_secret, member.totp_last_step = secret, None
    return NewFactor(secret, pyotp.TOTP(secret).provisioning_uri(name=member.email, issuer_name=_ISSUER))


def setup_of(member: MemberRow) -> NewFactor:
    """Return what the authenticator of a second factor that was begun, and does not count yet, is set up with.

    Raises:
        Conflict: none was begun, or one counts already.
    """
    if required(member) or member.totp_secret is None:
        raise Conflict("No second factor waits to be confirmed; begin to set one up.")
    url = pyotp.TOTP(member.totp_secret).provisioning_uri(name=member.email, issuer_name=_ISSUER)
    return NewFactor(member.totp_secret, url)


def confirm_second_factor(session: Session, member_id: str, code: str, *, by: Actor, now: datetime) -> tuple[str, ...]:
    """Let the second factor count, since its code is right; return recovery codes, which are not stored.

    Raises:
        NotFound: there is no such member.
        Conflict: none was begun, or one counts already.
        InvalidInput: the code is not one of now.
    """
    member = hold_member(session, member_id)
    if required(member) or member.totp_secret is None:
        raise Conflict("No second factor waits to be confirmed; begin to set one up.")
    step = _step_of(member, code, now)
    if step is None:
        told = "is not the one that the authenticator shows now; check the clock of the device, and take the next one"
        raise InvalidInput(f"The code {told}.", details=(FieldProblem("code", told),))
    member.totp_last_step, member.totp_confirmed_at = step, now
    _record(session, by, member, "second_factor.add", {"second_factor": False}, {"second_factor": True}, now)
    _tell(session, member, "set up", now)
    return _new_codes(session, member)


def check(session: Session, member: MemberRow, code: str, now: datetime) -> bool:
    """Tell whether this is a code of the member's authenticator, or a recovery code; it is used up by that.

    To be called in a transaction that may write: a code counts once, also for two who send it at the same time.
    """
    member = hold_member(session, member.id)
    if not required(member):
        return False
    step = _step_of(member, code, now)
    if step is not None:
        member.totp_last_step = step
        return True
    row = session.get(RecoveryCodeRow, (member.id, _hash_of_code(code)), populate_existing=True)
    if row is None or row.used_at is not None:
        return False
    row.used_at = now
    session.flush()
    _tell(session, member, "replaced by a recovery code", now)
    return True


def renew_recovery_codes(session: Session, member_id: str, *, by: Actor, now: datetime) -> tuple[str, ...]:
    """Return new recovery codes; the earlier ones are good for nothing.

    Raises:
        NotFound: there is no such member.
        Conflict: no second factor is set up.
    """
    member = hold_member(session, member_id)
    if not required(member):
        raise Conflict("No second factor is set up, so there is nothing that recovery codes could stand in for.")
    _record(session, by, member, "second_factor.renew", None, None, now)
    return _new_codes(session, member)


def codes_left(session: Session, member_id: str) -> int:
    """How many recovery codes of a member are not used."""
    unused = (RecoveryCodeRow.member_id == member_id, RecoveryCodeRow.used_at.is_(None))
    return session.scalar(select(func.count()).select_from(RecoveryCodeRow).where(*unused)) or 0


def remove_second_factor(session: Session, member_id: str, *, by: Actor, now: datetime) -> MemberRow:
    """Let a member log in by the password alone; a mail tells of it, and all tokens and sessions end.

    Raises:
        NotFound: there is no such member.
        Conflict: no second factor is set up.
    """
    member = hold_member(session, member_id)
    if not required(member):
        raise Conflict(f"{member.email} has no second factor that could be taken away.")
    forget_second_factor(session, member)
    end_everything(member)
    _record(session, by, member, "second_factor.remove", {"second_factor": True}, {"second_factor": False}, now)
    _tell(session, member, "taken away", now)
    return member


def forget_second_factor(session: Session, member: MemberRow) -> None:
    """Take the secret and the recovery codes of a member away; the caller records why."""
    member.totp_secret = member.totp_confirmed_at = member.totp_last_step = None
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.member_id == member.id))


def _step_of(member: MemberRow, code: str, now: datetime) -> int | None:
    """The step whose code this is; None for a wrong one, and for one that was used, or that is older than that one."""
    digits = "".join(code.split())
    if member.totp_secret is None or len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    totp, present = pyotp.TOTP(member.totp_secret), int(now.timestamp()) // STEP_SECONDS
    oldest = present - WINDOW if member.totp_last_step is None else max(present - WINDOW, member.totp_last_step + 1)
    steps = range(oldest, present + WINDOW + 1)
    right = [step for step in steps if hmac.compare_digest(totp.generate_otp(step), digits)]
    return right[0] if right else None


def _new_codes(session: Session, member: MemberRow) -> tuple[str, ...]:
    session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.member_id == member.id))
    codes = tuple(_new_code() for _ in range(RECOVERY_CODES))
    session.add_all(RecoveryCodeRow(member_id=member.id, code_hash=_hash_of_code(code)) for code in codes)
    session.flush()
    return codes


def _new_code() -> str:
    """Some 79 random bits: whoever gets at their hashes gets at the secret of the authenticator, too."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def _hash_of_code(code: str) -> str:
    return hash_token("".join(code.casefold().split()).replace("-", ""))


def _record(
    session: Session,
    by: Actor,
    member: MemberRow,
    action: str,
    before: Mapping[str, bool] | None,
    after: Mapping[str, bool] | None,
    now: datetime,
) -> None:
    change = Change(action=action, object_kind="member", object_id=member.id, before=before, after=after)
    record(session, by, change, tenant=None, now=now)


def _tell(session: Session, member: MemberRow, what: str, now: datetime) -> None:
    values = {"email": member.email, "what": what, "left": codes_left(session, member.id)}
    queue_mail(session, member.email, "second_factor", values, tenant=None, now=now)

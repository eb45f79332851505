"""One's own second factor: beginning takes the password, and whatever changes it a code of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from bento_service.access.logging_in import with_password
from bento_service.dependencies import Services
from bento_service.http.errors import invalid_fields
from resources.base.errors import Conflict, FieldProblem, InvalidInput
from resources.people.members import hold_member, member_by_id
from resources.people.second_factor import NewFactor, begin_second_factor, check, required
from resources.sessions.login import Login, check_password
from resources.sessions.refresh_tokens import LoginClient
from resources.sessions.throttle import admit, forget_failures

Result = TypeVar("Result")


async def begin_own_factor(services: Services, member_id: str, password: str | None, client: LoginClient) -> NewFactor:
    """Make a secret for a member's authenticator, for whoever knows their password, if they have one.

    Whoever has only got hold of a token or a browser shall not lock its owner out.

    Raises:
        InvalidInput: the password is missing.
        LoginRefused, TooManyAttempts: it is wrong, as often as log-ins may be.
        Conflict: a second factor is set up.
        Busy: too many wait for a thread.
    """
    lane = services.threads.passwords
    return await with_password(lane, client.address, _begin, services, member_id, password, client)


async def with_code(
    services: Services, member_id: str, code: str, client: LoginClient, work: Callable[[Session], Result]
) -> Result:
    """Do what takes a code, which is used up by that alone; wrong ones count as failed log-ins do.

    Raises:
        TooManyAttempts: too many have failed.
        Conflict: there is no second factor.
        InvalidInput: the code is not one of now.
        Busy: too many wait for a thread.
    """
    return await services.threads.writes.run(member_id, _with_code, services, member_id, code, client, work)


def _begin(services: Services, member_id: str, password: str | None, client: LoginClient) -> NewFactor:
    now = services.clock()
    with services.db.read() as session:
        member = member_by_id(session, member_id)
    if member.password_hash is not None:
        if not password:
            raise invalid_fields([FieldProblem("password", "is needed to set a second factor up")])
        attempt, shown = check_password(services.db, Login(member.email, password, client), now=now)
        with services.db.write() as session:
            if hold_member(session, member_id).version != shown.version:
                raise invalid_fields([FieldProblem("password", "was changed a moment ago; send the new one")])
            forget_failures(session, attempt)
            return begin_second_factor(session, member_id, now=now)
    with services.db.write() as session:
        return begin_second_factor(session, member_id, now=now)


def _with_code(
    services: Services, member_id: str, code: str, client: LoginClient, work: Callable[[Session], Result]
) -> Result:
    now = services.clock()
    with services.db.write() as session:
        member = member_by_id(session, member_id)
        if not required(member):
            raise Conflict("You have no second factor; begin to set one up.")
        attempt = admit(session, member.email, client.address, now=now)
    with services.db.write() as session:
        if check(session, member_by_id(session, member_id), code, now):
            forget_failures(session, attempt)
            return work(session)
    told = "is not valid now, or was used; take the next one of your authenticator, or a recovery code"
    raise InvalidInput(f"The code {told}.", details=(FieldProblem("code", told),))

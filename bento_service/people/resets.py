"""A password that was forgotten: asking for a link, and setting the password anew by it.

Whether an address is known is told by no answer and by no time: what depends on it is done once the answer is out.
"""

from __future__ import annotations

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.background import BackgroundTask

from bento_service.dependencies import Services
from bento_service.http.errors import Busy
from resources.access.actor import Actor
from resources.control_db.tables.people import MemberRow
from resources.people.password_reset import ask_for_reset, email_of_reset, reset_password
from resources.people.passwords import hash_password
from resources.sessions.throttle import count_reset, forget_account

_log = structlog.get_logger("recsaas.people")


async def promise_reset(services: Services, email: str, address: str) -> BackgroundTask:
    """Count that somebody at `address` asks for a link; return what looks for `email`, for once the answer is out.

    Raises:
        TooManyAttempts: too many links were asked for from there.
        Busy: too many wait for a thread.
    """
    await services.threads.writes.run(address, _count, services, address)
    return BackgroundTask(_send, services, email, address)


async def email_of_link(services: Services, token: str, address: str) -> str:
    """Return the e-mail address of whoever a link is for, which stays as it is; `address` is where it is asked from.

    Raises:
        LinkNotValid: there is no such link, or it was used; LinkExpired: its time is over.
        Busy: too many wait for a thread.
    """
    return await services.threads.reads.run(address, _email, services, token)


async def reset_by_link(services: Services, token: str, password: str, way: Actor, address: str) -> MemberRow:
    """Set the password that a link is for; log-ins of the account are slowed down by earlier failures no more.

    Raises:
        LinkNotValid, LinkExpired: as `email_of_link`.
        InvalidInput: the password is not good enough.
        Busy: too many wait for a thread.
    """
    email = await email_of_link(services, token, address)
    hashed = await services.threads.passwords.run(address, hash_password, password, email=email)
    return await services.threads.writes.run(address, _reset, services, token, hashed, way)


async def _send(services: Services, email: str, address: str) -> None:
    try:
        await services.threads.writes.run(address, _ask, services, email)
    except (SQLAlchemyError, Busy) as error:  # the answer is out: whoever waits for the mail asks again
        _log.warning("reset_not_queued", kind=type(error).__name__)


def _count(services: Services, address: str) -> None:
    with services.db.write() as session:
        count_reset(session, address, now=services.clock())


def _ask(services: Services, email: str) -> None:
    with services.db.write() as session:
        ask_for_reset(session, email, site_url=services.settings.site_url, now=services.clock())


def _email(services: Services, token: str) -> str:
    with services.db.read() as session:
        return email_of_reset(session, token, services.clock())


def _reset(services: Services, token: str, hashed: str, way: Actor) -> MemberRow:
    with services.db.write() as session:
        member = reset_password(session, token, hashed, way=way, now=services.clock())
        forget_account(session, member.email)
        return member

"""Logging in by a link that was printed, once: for the people of a demo, who have no second factor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from resources.base.errors import Forbidden
from resources.control_db.engine import ControlDb
from resources.people.members import hold_member
from resources.people.one_time_links import use_link
from resources.people.second_factor import required
from resources.sessions.browser_sessions import App
from resources.sessions.login import Begin, begin_login
from resources.sessions.refresh_tokens import LoginClient

Result = TypeVar("Result")


def log_in_by_link(
    db: ControlDb, token: str, begin_in: Callable[[App], Begin[Result]], client: LoginClient, *, now: datetime
) -> tuple[App, Result]:
    """Use a link up, and begin whatever goes with being logged in; return the app that the link is for, and that.

    Args:
        begin_in: what begins in an app.

    Raises:
        LinkNotValid: there is no such link, or it was used; LinkExpired: its time is over.
        Forbidden: the person is suspended, has a second factor, or may not log in to that app.
    """
    with db.write() as session:
        link = use_link(session, token, "log_in", now)
        member = hold_member(session, link.member_id)
        if member.status != "active" or required(member):
            raise Forbidden("This person logs in with a password and a second factor alone, or is suspended.")
        app: App = "office" if link.data.get("app") == "office" else "customer"
        return app, begin_login(session, member, None, begin_in(app), client, way="one-use link", now=now)

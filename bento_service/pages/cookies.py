"""The cookies of pages. `__Host-`: set over https or on this machine, for this host alone, for every path of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from fastapi import Request
from starlette.responses import Response

from resources.sessions.browser_sessions import LONGEST, App
from resources.sessions.unfinished_logins import LIFETIME, LoginStep

SESSION_COOKIES: Mapping[App, str] = MappingProxyType({"customer": "__Host-recsaas", "office": "__Host-recsaas-office"})
STEP_COOKIES: Mapping[LoginStep, str] = MappingProxyType({"code": "__Host-recsaas-code", "sso": "__Host-recsaas-sso"})
Theme = Literal["system", "light", "dark"]
_THEME = "theme"
_LONGEST_VALUE = 200
_A_YEAR = 365 * 24 * 3600


def session_token(request: Request, app: App) -> str | None:
    """Return the token of a session that a browser shows, if it can be one."""
    return _value(request, SESSION_COOKIES[app])


def set_session(response: Response, app: App, token: str, *, kept: bool) -> None:
    """Let the browser show the session; without `kept` it forgets it when it is closed."""
    _set(response, SESSION_COOKIES[app], token, int(LONGEST.total_seconds()) if kept else None)


def end_session_cookie(response: Response, app: App) -> None:
    """Let the browser forget the session."""
    _end(response, SESSION_COOKIES[app])


def step_token(request: Request, step: LoginStep) -> str | None:
    """Return the token of a log-in that waits for its second step."""
    return _value(request, STEP_COOKIES[step])


def set_step(response: Response, step: LoginStep, token: str) -> None:
    """Let the browser show the log-in that waits for its second step."""
    _set(response, STEP_COOKIES[step], token, int(LIFETIME.total_seconds()))


def end_step(response: Response, step: LoginStep) -> None:
    """Let the browser forget the log-in."""
    _end(response, STEP_COOKIES[step])


def theme_of(request: Request) -> Theme:
    """Return the colours that the person chose; no secret, so any page may read it."""
    value = request.cookies.get(_THEME)
    return "light" if value == "light" else "dark" if value == "dark" else "system"


def set_theme(response: Response, theme: Theme) -> None:
    """Remember the colours for a year."""
    response.set_cookie(_THEME, theme, max_age=_A_YEAR, httponly=True, samesite="lax", path="/")


def _value(request: Request, name: str) -> str | None:
    value = request.cookies.get(name)
    return value if value and len(value) <= _LONGEST_VALUE else None


def _set(response: Response, name: str, value: str, max_age: int | None) -> None:
    # Lax: a link from a mail finds the person logged in, and a form of another site does not.
    response.set_cookie(name, value, max_age=max_age, path="/", secure=True, httponly=True, samesite="lax")


def _end(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")

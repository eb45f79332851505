"""Pages out of templates: everything is escaped, and a value that is not given is an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bento_service.http.errors import http_status_of
from bento_service.pages.cookies import theme_of
from bento_service.pages.forms import problems_by_field
from bento_service.pages.security import HEADERS
from bento_service.pages.static_files import address_of
from resources.base.errors import RecsaasError, TooManyRequests

# Every browser calls itself by the names of others, too; the first of these is its own.
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)
SECRET_FIELDS = frozenset({"password", "current", "new_password", "again", "code"})
"""Fields that are never sent back to the browser."""


def page(
    request: Request,
    template: str,
    values: Mapping[str, Any] | None = None,
    *,
    error: RecsaasError | None = None,
    fields: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """Return a page; with `error`, the form that was sent, with what is wrong at its fields and above it.

    Args:
        fields: what stood in the form; secrets are left out.
        status: of a page without an error.
    """
    shown = {name: value for name, value in (fields or {}).items() if name not in SECRET_FIELDS}
    given = {
        "theme": theme_of(request),
        "request_id": request.scope["state"]["request_id"],
        "path": request.url.path,
        "error": error,
        "problems": problems_by_field(error),
        "fields": shown,
        **(values or {}),
    }
    html = _templates().get_template(template).render(given)
    headers = dict(HEADERS)
    if isinstance(error, TooManyRequests) and (seconds := getattr(error, "retry_after", None)) is not None:
        headers["Retry-After"] = str(seconds)
    return HTMLResponse(html, status_code=status if error is None else http_status_of(error), headers=headers)


def see_other(address: str) -> Response:
    """Return where to go on after a form was taken; the browser asks by GET."""
    return RedirectResponse(address, status_code=303, headers=dict(HEADERS))


def error_page(request: Request, status: int, *, code: str, message: str) -> Response:
    """Return a page that says what went wrong."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    values = {"title": title, "code": code, "message": message}
    return page(request, "error.html", values, status=status)


def time_text(moment: datetime) -> str:
    """Write a moment as people read it: 28 Nov 2026, 14:05 UTC."""
    return f"{moment.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def browser_text(agent: str) -> str:
    """Name a browser and its system as people do: Firefox on Windows; what calls itself otherwise, as it does."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    if browser is None:
        return agent[:80] or "Unknown program"
    return browser if system is None else f"{browser} on {system}"


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("bento_service.pages"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["static"] = address_of
    templates.filters["moment"] = time_text
    templates.filters["browser"] = browser_text
    return templates

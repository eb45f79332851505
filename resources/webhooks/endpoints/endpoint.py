"""One webhook endpoint as the rest of the program sees it, and the rules of its address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from resources.base.errors import FieldProblem, InvalidInput
from resources.control_db.tables.webhooks import WebhookRow
from resources.webhooks.event_types import EVENT_TYPES

MAX_ENDPOINTS = 20
"""Endpoints of one tenant."""
_MAX_URL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One endpoint, without its secrets. `events` empty: it hears everything.

    `stopped_because` says why deliveries ended by themselves; `failing_since` when they began to fail.
    """

    id: str
    url: str
    description: str
    events: tuple[str, ...]
    enabled: bool
    stopped_because: str | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDraft:
    """What an endpoint is to be; None leaves what it is."""

    url: str | None = None
    description: str | None = None
    events: tuple[str, ...] | None = None
    enabled: bool | None = None


def checked_url(text: str, *, plain_http: bool) -> str:
    """Return the address that deliveries go to.

    Raises:
        InvalidInput: it is no https address of a host, or holds a user name, a password or a fragment.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_url("is not an address such as https://shop.example.com/hooks") from error
    if not text.isascii() or any(letter.isspace() for letter in text) or len(text) > _MAX_URL or not host:
        raise _bad_url("is not an address such as https://shop.example.com/hooks")
    if parts.scheme != "https" and not (parts.scheme == "http" and plain_http):
        raise _bad_url("must begin with https://")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _bad_url("must have no user name, password or fragment: every delivery is signed")
    return text


def checked_events(names: tuple[str, ...]) -> list[str]:
    """Return the events that an endpoint wants to hear, each once.

    Raises:
        InvalidInput: there is none of such a name.
    """
    unknown = sorted(set(names) - set(EVENT_TYPES))
    if unknown:
        message = f"there is no event {', '.join(unknown)}; there are: {', '.join(EVENT_TYPES)}"
        raise InvalidInput(f"events: {message}.", details=(FieldProblem("events", message),))
    return sorted(set(names))


def endpoint_of(row: WebhookRow) -> Webhook:
    """Return the endpoint of a row."""
    return Webhook(
        id=row.id,
        url=row.url,
        description=row.description,
        events=tuple(row.events),
        enabled=row.enabled,
        stopped_because=row.stopped_because,
        failing_since=row.failing_since,
        previous_secret_until=row.previous_until,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _bad_url(message: str) -> InvalidInput:
    return InvalidInput(f"url: {message}.", details=(FieldProblem("url", message),))

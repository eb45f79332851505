"""From the events of a request to events of the log: every one is checked before any is stored."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime

from bento_service.errors import invalid_fields
from bento_service.schemas.interactions import EventBody
from resources.errors import FieldProblem
from resources.event_log import IMPRESSION, Event
from resources.tenant_settings import TenantSettings
from resources.uploads.parsing import interaction_type_map
from resources.uploads.rules import EARLIEST, FUTURE_ALLOWANCE

SHOWN = "recommendations_shown"


def events_of(
    bodies: Sequence[EventBody],
    *,
    settings: TenantSettings,
    now: datetime,
    idempotency_key: str | None,
    batch: bool,
) -> tuple[Event, ...]:
    """Return the events to store.

    An event without `event_id` gets one: from the idempotency key and its place in the request, so that a retry has
    the same one; without a key, a random one.

    Raises:
        InvalidInput: names every field that is wrong; with `batch` as `events.<position>.<field>`.
    """
    types = interaction_type_map(settings)
    events: list[Event] = []
    problems: list[FieldProblem] = []
    for position, body in enumerate(bodies):
        kind = IMPRESSION if body.interaction_type == SHOWN else types.get(body.interaction_type.strip().lower())
        found = _problems(body, kind, tuple(types), settings, now)
        prefix = f"events.{position}." if batch else ""
        problems.extend(FieldProblem(f"{prefix}{field}", message) for field, message in found)
        if kind is not None and not found:
            events.append(_event(body, kind, now, _event_id(body, idempotency_key, position)))
    if problems:
        raise invalid_fields(problems)
    return tuple(events)


def _problems(
    body: EventBody, kind: str | None, accepted: tuple[str, ...], settings: TenantSettings, now: datetime
) -> list[tuple[str, str]]:
    found = []
    if kind is None:
        names = ", ".join((*accepted, SHOWN))
        found.append(("interaction_type", f"is not one that this tenant uses; accepted are: {names}"))
    if body.item_id is None and kind != IMPRESSION:
        found.append(("item_id", f"is missing; only {SHOWN} may leave it out"))
    if kind == "rating" and body.rating is None:
        found.append(("rating", "is missing, and an event of type rating needs it"))
    if body.rating is not None and not settings.rating_min <= body.rating <= settings.rating_max:
        found.append(("rating", f"is outside {settings.rating_min:g} to {settings.rating_max:g}"))
    if body.timestamp is not None and body.timestamp > now + FUTURE_ALLOWANCE:
        found.append(("timestamp", "is more than 24 hours in the future"))
    if body.timestamp is not None and body.timestamp < EARLIEST:
        found.append(("timestamp", "is before 1990"))
    return found


def _event(body: EventBody, kind: str, now: datetime, event_id: str) -> Event:
    extra = {name: value for name, value in (("context", body.context), ("metadata", body.metadata)) if value}
    return Event(
        event_id=event_id,
        user_id=body.user_id,
        item_id=body.item_id,
        interaction_type=kind,
        timestamp=body.timestamp or now,
        rating=body.rating,
        quantity=body.quantity,
        price=body.price,
        duration_seconds=body.duration_seconds,
        session_id=body.session_id,
        recommendation_id=body.recommendation_id,
        extra=extra,
    )


def _event_id(body: EventBody, idempotency_key: str | None, position: int) -> str:
    if body.event_id is not None:
        return body.event_id
    if idempotency_key is None:
        return uuid.uuid4().hex
    # A digest, because the key may be longer than an event id may.
    return f"idempotency-{hashlib.sha256(idempotency_key.encode()).hexdigest()[:40]}-{position}"

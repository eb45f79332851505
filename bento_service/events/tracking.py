"""From the events of a request to events of the log: every one is checked before any is stored."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bento_service.http.errors import invalid_fields
from bento_service.schemas.interactions import EventBody
from resources.base.errors import Conflict, FieldProblem
from resources.base.ids import NOBODY, words_of_nobody
from resources.base.tenant import TenantId
from resources.events.log import IMPRESSION, Event, EventLog
from resources.tenants.settings import IGNORE, TYPES_WITH_PIECES, TenantSettings
from resources.uploads.normalising.type_names import TypeNames
from resources.uploads.parsing.validation import EARLIEST, FUTURE_ALLOWANCE, takes_returns

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
    checks = EventChecks.of(settings, now, idempotency_key)
    events: list[Event] = []
    problems: list[FieldProblem] = []
    for position, body in enumerate(bodies):
        event = checks.event(body, position, place=f"events.{position}." if batch else "")
        if isinstance(event, Event):
            events.append(event)
        else:
            problems += event
    if problems:
        raise invalid_fields(problems)
    return tuple(events)


@dataclass(frozen=True, slots=True)
class EventChecks:
    """What the events of one request are checked by."""

    settings: TenantSettings
    types: TypeNames
    now: datetime
    idempotency_key: str | None

    @classmethod
    def of(cls, settings: TenantSettings, now: datetime, idempotency_key: str | None) -> EventChecks:
        """Put them together."""
        return cls(settings, TypeNames.of(settings), now, idempotency_key)

    def event(self, body: EventBody, position: int, *, place: str) -> Event | list[FieldProblem]:
        """Return the event at a position of the request, or what is wrong with it; `place` stands before each field."""
        kind = IMPRESSION if body.interaction_type == SHOWN else self.types.find(body.interaction_type)
        found = _problems(body, kind, tuple(self.types.names), self.settings, self.now)
        if kind is None or found:
            return [FieldProblem(f"{place}{field}", message) for field, message in found]
        return _event(body, kind, self.now, _event_id(body, self.idempotency_key, position))


def check_retry(
    log: EventLog,
    tenant: TenantId,
    tracked: Sequence[tuple[EventBody, Event]],
    *,
    idempotency_key: str,
    length: int,
    each: bool = False,
) -> None:
    """Refuse a request whose key came before with other events: what it says now would vanish as a repetition.

    Args:
        tracked: the events of the request that are right, with what was sent.
        length: how many events the request has.
        each: they stand each for itself, so that one that was wrong when the key came before may be right now.

    Raises:
        Conflict: the events stored for the key are not these.
    """
    own = {
        event.event_id: (event, body.timestamp is None)
        for body, event in tracked
        if body.event_id is None and event.interaction_type != IGNORE
    }
    others = [_event_id_of(idempotency_key, place) for place in range(length + 1)] if each else []
    stored = log.events_with_ids(tenant, [*own, *others, _event_id_of(idempotency_key, length)])
    if not stored.height:
        return
    same = (each or stored.height == len(own)) and all(
        row["event_id"] in own and _says(row, *own[row["event_id"]]) for row in stored.iter_rows(named=True)
    )
    if not same:
        raise Conflict("This Idempotency-Key came before with other events, and nothing was stored. Use a new key.")


def _says(row: Mapping[str, Any], event: Event, any_time: bool) -> bool:
    """Tell whether a stored row is the event; one sent without a time got that of its first arrival."""
    names = [
        name for name in row if name not in ("seq", "received_at", "extra") and (name != "timestamp" or not any_time)
    ]
    extra = json.loads(row["extra"]) if row["extra"] else {}
    return extra == event.extra and all(row[name] == getattr(event, name) for name in names)


def _problems(
    body: EventBody, kind: str | None, accepted: tuple[str, ...], settings: TenantSettings, now: datetime
) -> list[tuple[str, str]]:
    found = []
    if body.user_id is None and body.session_id is None:
        found.append(("user_id", "is missing; an event of a visitor who is not known needs a session_id"))
    if body.user_id is not None and body.user_id in words_of_nobody(settings.uploads.placeholder_ids):
        found.append(("user_id", NOBODY))
    if kind is None:
        names = ", ".join((*accepted, SHOWN))
        found.append(("interaction_type", f"is not one that this tenant uses; accepted are: {names}"))
    if body.item_id is None and kind != IMPRESSION:
        found.append(("item_id", f"is missing; only {SHOWN} may leave it out"))
    if kind == "rating" and body.rating is None:
        found.append(("rating", "is missing, and an event of type rating needs it"))
    if body.rating is not None and not settings.rating_min <= body.rating <= settings.rating_max:
        found.append(("rating", f"is outside {settings.rating_min:g} to {settings.rating_max:g}"))
    if body.quantity is not None and body.quantity < 0 and not (kind in TYPES_WITH_PIECES and takes_returns(settings)):
        found.append(("quantity", f"is below 0; only {' and '.join(TYPES_WITH_PIECES)} may take pieces back"))
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
    return _event_id_of(idempotency_key, position)


def _event_id_of(idempotency_key: str, position: int) -> str:
    # A digest, because the key may be longer than an event id may.
    return f"idempotency-{hashlib.sha256(idempotency_key.encode()).hexdigest()[:40]}-{position}"

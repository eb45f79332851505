"""Deliveries: which is due, what came of each try, and when the next one is.

Whoever tries a delivery moves its `not_before` first, by as long as a try may take. So two workers never try the same
one at once, and one whose worker died is tried again by another. A receiver knows a repeated message by its id.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, and_, delete, or_, select, update
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tables.webhooks import WebhookDeliveryRow, WebhookEventRow, WebhookRow
from resources.mail.queue import queue_mail
from resources.mail.recipients import managers_of
from resources.webhooks.announcing import add_deliveries
from resources.webhooks.endpoints.store import endpoint_row

TRY_SECONDS = 10.0
"""How long an endpoint has for its answer."""
_CLAIM = timedelta(seconds=60)
RESTS = tuple(timedelta(seconds=s) for s in (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000))
"""How long a delivery rests after each failed try; after the one behind the last rest, two and a half days later, it
has failed."""
STOPPED_AFTER = timedelta(days=5)
"""An endpoint at which every delivery has failed for so long is told nothing more."""
KEPT = timedelta(days=30)
"""How long deliveries and announcements are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One announcement on its way to one endpoint: `waiting`, `delivered` or `failed`."""

    id: str
    webhook_id: str
    event_id: str
    type: str
    status: str
    attempts: int
    answer_status: int | None
    error: str | None
    milliseconds: int | None
    created_at: datetime
    next_try_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """What a try needs: where to, what, and what it is signed with. `secrets` are never logged."""

    id: str
    tenant: TenantId
    webhook_id: str
    event_id: str
    type: str
    data: dict[str, Any]
    announced_at: datetime
    url: str
    secrets: tuple[str, ...]
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """What came of one try. `status` is the HTTP status of the answer, None where none came; `error` says why not."""

    status: int | None
    error: str | None
    milliseconds: int

    @property
    def worked(self) -> bool:
        """Whether the endpoint has taken the message."""
        return self.status is not None and 200 <= self.status < 300


def claim_due(db: ControlDb, *, now: datetime, busy: Collection[str] = ()) -> DueDelivery | None:
    """Take the delivery that is due for longest, for a try; None when none is. Those of stopped tenants wait.

    Args:
        busy: endpoints that this process is trying already: one that is slow keeps nobody else waiting.
    """
    due = (
        select(WebhookDeliveryRow.id, WebhookDeliveryRow.not_before)
        .join(WebhookRow, WebhookRow.id == WebhookDeliveryRow.webhook_id)
        .join(TenantRow, TenantRow.id == WebhookDeliveryRow.tenant_id)
        .where(
            WebhookDeliveryRow.status == "waiting",
            WebhookDeliveryRow.not_before <= now,
            WebhookRow.enabled.is_(True),
            WebhookRow.id.not_in(busy),
            TenantRow.status == "active",
        )
        .order_by(WebhookDeliveryRow.not_before, WebhookDeliveryRow.id)
        .limit(1)
    )
    while True:
        with db.read() as session:
            found = session.execute(due).one_or_none()
        if found is None:
            return None
        with db.write() as session:
            unclaimed = (WebhookDeliveryRow.id == found.id, WebhookDeliveryRow.not_before == found.not_before)
            moved = session.execute(
                update(WebhookDeliveryRow)
                .where(*unclaimed, WebhookDeliveryRow.status == "waiting")
                .values(not_before=now + _CLAIM, attempts=WebhookDeliveryRow.attempts + 1)
            )
            assert isinstance(moved, CursorResult)
            if moved.rowcount:
                return _due(session, found.id, now)


def note_try(db: ControlDb, due: DueDelivery, result: Try, *, now: datetime) -> Delivery | None:
    """Write down what came of a try, and when the next one is; None when the endpoint was removed meanwhile.

    What comes so late that another try has begun, or that the delivery has ended, changes nothing.
    """
    with db.write() as session:
        webhook = session.get(WebhookRow, due.webhook_id, with_for_update=True)
        row = session.get(WebhookDeliveryRow, due.id, with_for_update=True)
        if row is None or webhook is None:
            return None
        if row.status != "waiting" or row.attempts != due.attempts:
            return _record(row)
        row.answer_status, row.error, row.milliseconds = result.status, result.error, result.milliseconds
        if result.worked:
            row.status, row.ended_at = "delivered", now
            webhook.failing_since = None
        else:
            _failed(session, row, webhook, result, now)
        return _record(row)


def list_deliveries(
    db: ControlDb, tenant: TenantId, webhook_id: str, *, limit: int, before: tuple[datetime, str] | None = None
) -> tuple[Delivery, ...]:
    """Deliveries to an endpoint, newest first, behind the one of this time and id.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    with db.read() as session:
        endpoint_row(session, tenant, webhook_id)
        mine = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook_id)
        if before is not None:
            time, last = before
            same = and_(WebhookDeliveryRow.created_at == time, WebhookDeliveryRow.id > last)
            mine = mine.where(or_(WebhookDeliveryRow.created_at < time, same))
        newest = mine.order_by(WebhookDeliveryRow.created_at.desc(), WebhookDeliveryRow.id).limit(limit)
        return tuple(_record(row) for row in session.scalars(newest))


def try_again(db: ControlDb, tenant: TenantId, webhook_id: str, delivery_id: str, *, now: datetime) -> Delivery:
    """Let a delivery that has failed, or rests, be tried at once.

    Raises:
        NotFound: the endpoint has no such delivery.
        Conflict: it was delivered, or the endpoint is off.
    """
    with db.write() as session:
        webhook = endpoint_row(session, tenant, webhook_id, change=True)
        row = session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
        if row is None or row.webhook_id != webhook_id:
            raise NotFound(f"Webhook {webhook_id} has no delivery {delivery_id[:60]!r}.")
        if row.status == "delivered":
            raise Conflict("This delivery has arrived already.")
        if not webhook.enabled:
            raise Conflict("This webhook is off; switch it on first.")
        row.status, row.not_before, row.ended_at = "waiting", now, None  # by its attempts a late result is known
        return _record(row)


def add_test(db: ControlDb, tenant: TenantId, webhook_id: str, *, now: datetime) -> Delivery:
    """Queue a message to this endpoint alone that says nothing but that somebody tries it.

    Raises:
        NotFound: the tenant has no such endpoint.
        Conflict: it is off.
    """
    with db.write() as session:
        webhook = endpoint_row(session, tenant, webhook_id, change=True)
        if not webhook.enabled:
            raise Conflict("This webhook is off; switch it on first.")
        data = {"message": "Somebody tries this endpoint. Nothing has happened."}
        (row,) = add_deliveries(session, tenant, [webhook_id], "webhook.test", data, now=now)
        session.flush()
        return _record(row)


def forget_old(db: ControlDb, *, now: datetime) -> None:
    """Remove deliveries that have ended, and announcements without any, that are older than `KEPT`."""
    with db.write() as session:
        ended = (WebhookDeliveryRow.status != "waiting", WebhookDeliveryRow.created_at < now - KEPT)
        session.execute(delete(WebhookDeliveryRow).where(*ended))
        lonely = ~select(WebhookDeliveryRow.id).where(WebhookDeliveryRow.event_id == WebhookEventRow.id).exists()
        session.execute(delete(WebhookEventRow).where(WebhookEventRow.created_at < now - KEPT, lonely))


def _failed(session: Session, row: WebhookDeliveryRow, webhook: WebhookRow, result: Try, now: datetime) -> None:
    webhook.failing_since = webhook.failing_since or now
    if row.attempts > len(RESTS):
        row.status, row.ended_at = "failed", now
    else:
        row.not_before = now + RESTS[row.attempts - 1]
    gone = result.status == 410
    if gone or now - webhook.failing_since >= STOPPED_AFTER:
        why = "it answered 410 (gone)" if gone else f"every delivery has failed for {STOPPED_AFTER.days} days"
        _stop(session, webhook, why, now)


def _stop(session: Session, webhook: WebhookRow, why: str, now: datetime) -> None:
    if not webhook.enabled:
        return
    webhook.enabled, webhook.stopped_because, webhook.updated_at = False, why, now
    tenant = TenantId(webhook.tenant_id)
    change = Change(action="webhook.stop", object_kind="webhook", object_id=webhook.id, after={"because": why})
    record(session, SYSTEM, change, tenant=tenant, now=now)
    values = {"tenant": webhook.tenant_id, "url": webhook.url, "why": why, "webhook": webhook.id}
    for email in managers_of(session, tenant):
        queue_mail(session, email, "webhook_stopped", values, tenant=tenant, now=now)


def _due(session: Session, delivery_id: str, now: datetime) -> DueDelivery:
    row = session.get_one(WebhookDeliveryRow, delivery_id)
    webhook, event = session.get_one(WebhookRow, row.webhook_id), session.get_one(WebhookEventRow, row.event_id)
    keys = [webhook.secret]
    if webhook.previous_secret and webhook.previous_until and webhook.previous_until > now:
        keys.append(webhook.previous_secret)
    return DueDelivery(
        id=row.id,
        tenant=TenantId(row.tenant_id),
        webhook_id=webhook.id,
        event_id=event.id,
        type=event.type,
        data=event.data,
        announced_at=event.created_at,
        url=webhook.url,
        secrets=tuple(keys),
        attempts=row.attempts,
    )


def _record(row: WebhookDeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        type=row.type,
        status=row.status,
        attempts=row.attempts,
        answer_status=row.answer_status,
        error=row.error,
        milliseconds=row.milliseconds,
        created_at=row.created_at,
        next_try_at=row.not_before if row.status == "waiting" else None,
        ended_at=row.ended_at,
    )

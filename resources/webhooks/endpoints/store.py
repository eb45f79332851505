"""Endpoints of a tenant in the control DB; every change is in the audit log."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.tenants import take_turns
from resources.control_db.tables.webhooks import WebhookDeliveryRow, WebhookRow
from resources.webhooks.endpoints.endpoint import (
    MAX_ENDPOINTS,
    Webhook,
    WebhookDraft,
    checked_events,
    checked_url,
    endpoint_of,
)
from resources.webhooks.signing import new_secret

OVERLAP = timedelta(hours=24)
"""How long the secret before signs as well, after a new one was made."""


def add_webhook(
    db: ControlDb, tenant: TenantId, draft: WebhookDraft, *, by: Actor, now: datetime, plain_http: bool = False
) -> tuple[Webhook, str]:
    """Store an endpoint; return it and its secret, which is shown only now.

    Raises:
        InvalidInput: the address or an event is not one.
        Conflict: the tenant has as many endpoints as it may.
    """
    if draft.url is None:
        raise InvalidInput("url: is missing; where are deliveries to go?")
    secret = new_secret()
    row = WebhookRow(
        id=f"whk-{secrets.token_hex(8)}",
        tenant_id=tenant.value,
        url=checked_url(draft.url, plain_http=plain_http),
        description=draft.description or "",
        events=checked_events(draft.events or ()),
        secret=secret,
        enabled=draft.enabled is not False,
        created_at=now,
        updated_at=now,
    )
    with db.write() as session:
        take_turns(session, tenant)
        count = select(func.count()).select_from(WebhookRow).where(WebhookRow.tenant_id == tenant.value)
        if (session.scalar(count) or 0) >= MAX_ENDPOINTS:
            raise Conflict(f"Tenant {tenant} has {MAX_ENDPOINTS} webhooks, and cannot have more; remove one first.")
        session.add(row)
        record(session, by, _change("webhook.add", row, after=_fields(row)), tenant=tenant, now=now)
        return endpoint_of(row), secret


def change_webhook(
    db: ControlDb,
    tenant: TenantId,
    webhook_id: str,
    draft: WebhookDraft,
    *,
    by: Actor,
    now: datetime,
    plain_http: bool = False,
) -> Webhook:
    """Change an endpoint. One that is enabled again forgets why it was stopped.

    Raises:
        NotFound: the tenant has no such endpoint.
        InvalidInput: the address or an event is not one.
    """
    with db.write() as session:
        row = endpoint_row(session, tenant, webhook_id, change=True)
        before = _fields(row)
        if draft.url is not None:
            row.url = checked_url(draft.url, plain_http=plain_http)
        if draft.events is not None:
            row.events = checked_events(draft.events)
        if draft.description is not None:
            row.description = draft.description
        if draft.enabled is not None:
            row.enabled = draft.enabled
            row.stopped_because = row.failing_since = None
        row.updated_at = now
        record(session, by, _change("webhook.change", row, before, _fields(row)), tenant=tenant, now=now)
        return endpoint_of(row)


def remove_webhook(db: ControlDb, tenant: TenantId, webhook_id: str, *, by: Actor, now: datetime) -> None:
    """Remove an endpoint with its deliveries.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    with db.write() as session:
        row = endpoint_row(session, tenant, webhook_id, change=True)
        record(session, by, _change("webhook.remove", row, before=_fields(row)), tenant=tenant, now=now)
        session.execute(delete(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == row.id))
        session.delete(row)


def rotate_secret(db: ControlDb, tenant: TenantId, webhook_id: str, *, by: Actor, now: datetime) -> tuple[Webhook, str]:
    """Give an endpoint a new secret; the one before signs as well for `OVERLAP`.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    with db.write() as session:
        row = endpoint_row(session, tenant, webhook_id, change=True)
        row.previous_secret, row.previous_until = row.secret, now + OVERLAP
        row.secret, row.updated_at = new_secret(), now
        record(session, by, _change("webhook.rotate", row), tenant=tenant, now=now)
        return endpoint_of(row), row.secret


def get_webhook(db: ControlDb, tenant: TenantId, webhook_id: str) -> Webhook:
    """Return an endpoint.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    with db.read() as session:
        return endpoint_of(endpoint_row(session, tenant, webhook_id))


def list_webhooks(db: ControlDb, tenant: TenantId) -> tuple[Webhook, ...]:
    """The tenant's endpoints, oldest first."""
    mine = select(WebhookRow).where(WebhookRow.tenant_id == tenant.value)
    with db.read() as session:
        rows = session.scalars(mine.order_by(WebhookRow.created_at, WebhookRow.id))
        return tuple(endpoint_of(row) for row in rows)


def endpoint_row(session: Session, tenant: TenantId, webhook_id: str, *, change: bool = False) -> WebhookRow:
    """The row of an endpoint; to `change` it, nobody else can until the transaction ends.

    Raises:
        NotFound: the tenant has no such endpoint.
    """
    row = session.get(WebhookRow, webhook_id, with_for_update=change)
    if row is None or row.tenant_id != tenant.value:
        raise NotFound(f"Tenant {tenant} has no webhook {webhook_id[:60]!r}; list its webhooks to see which it has.")
    return row


def _change(
    action: str, row: WebhookRow, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None
) -> Change:
    return Change(action=action, object_kind="webhook", object_id=row.id, before=before, after=after)


def _fields(row: WebhookRow) -> dict[str, Any]:
    return {"url": row.url, "description": row.description, "events": list(row.events), "enabled": row.enabled}

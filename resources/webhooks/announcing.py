"""Announcing something to a tenant's endpoints, in the transaction that is the reason for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.base.tenant import TenantId
from resources.control_db.tables.webhooks import WebhookDeliveryRow, WebhookEventRow, WebhookRow
from resources.webhooks.event_types import EventType


def announce(
    session: Session, tenant: TenantId, event_type: EventType, data: Mapping[str, JsonValue], *, now: datetime
) -> None:
    """Queue an announcement for every endpoint of the tenant that wants to hear it; without one nothing is stored.

    It goes out once the transaction has committed, and never when it has not.
    """
    endpoints = select(WebhookRow).where(WebhookRow.tenant_id == tenant.value, WebhookRow.enabled.is_(True))
    wanting = [row.id for row in session.scalars(endpoints) if not row.events or event_type in row.events]
    if wanting:
        add_deliveries(session, tenant, wanting, event_type, data, now=now)


def add_deliveries(
    session: Session,
    tenant: TenantId,
    webhook_ids: list[str],
    event_type: EventType,
    data: Mapping[str, JsonValue],
    *,
    now: datetime,
) -> tuple[WebhookDeliveryRow, ...]:
    """Store an announcement and its deliveries to these endpoints."""
    event = WebhookEventRow(
        id=f"evt-{secrets.token_hex(12)}", tenant_id=tenant.value, type=event_type, data=dict(data), created_at=now
    )
    session.add(event)
    session.flush()
    rows = tuple(
        WebhookDeliveryRow(
            id=f"dlv-{secrets.token_hex(12)}",
            tenant_id=tenant.value,
            webhook_id=webhook_id,
            event_id=event.id,
            type=event_type,
            status="waiting",
            attempts=0,
            not_before=now,
            created_at=now,
        )
        for webhook_id in webhook_ids
    )
    session.add_all(rows)
    return rows

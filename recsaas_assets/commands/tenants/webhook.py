"""`recsaas webhook`: the endpoints that a tenant's own programs are told at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.webhooks.endpoints.deliveries import Delivery, add_test, list_deliveries, try_again
from resources.webhooks.endpoints.endpoint import Webhook, WebhookDraft
from resources.webhooks.endpoints.store import add_webhook, change_webhook, list_webhooks, remove_webhook, rotate_secret
from resources.webhooks.event_types import EVENT_TYPES


@click.group()
def webhook() -> None:
    """Add, list, try and remove the webhooks of a tenant, and see their deliveries."""


@webhook.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("url")
@click.option("--event", "events", type=click.Choice(EVENT_TYPES), multiple=True, help="May be repeated; all if none.")
@click.option("--description", default="", help="What it is for.")
@json_option
def add(tenant_id: TenantId, url: str, events: tuple[str, ...], description: str, as_json: bool) -> None:
    """Add an endpoint at URL for TENANT. The secret that its messages are signed with is shown once."""
    site = Installation()
    draft = WebhookDraft(url=url, events=events, description=description)
    made, secret = add_webhook(
        site.db,
        tenant_id,
        draft,
        by=command_actor(),
        now=datetime.now(UTC),
        plain_http=site.settings.webhook_private,
    )
    _show_secret(made, secret, as_json)


@webhook.command("list")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def list_(tenant_id: TenantId, as_json: bool) -> None:
    """List the endpoints of TENANT, oldest first."""
    db = Installation().db
    get_tenant(db, tenant_id)
    found = list_webhooks(db, tenant_id)
    if as_json:
        print_json({"tenant": str(tenant_id), "webhooks": [_fields(each) for each in found]})
        return
    table = Table("id", "url", "hears", "state")
    for each in found:
        state = "on" if each.enabled else f"off{f': {each.stopped_because}' if each.stopped_because else ''}"
        table.add_row(each.id, escape(each.url), ", ".join(each.events) or "everything", state)
    results.print(table)


@webhook.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("webhook_id", metavar="WEBHOOK")
@click.argument("state", type=click.Choice(("on", "off")))
@json_option
def switch(tenant_id: TenantId, webhook_id: str, state: str, as_json: bool) -> None:
    """Switch an endpoint of TENANT on or off."""
    draft = WebhookDraft(enabled=state == "on")
    changed = change_webhook(Installation().db, tenant_id, webhook_id, draft, by=command_actor(), now=datetime.now(UTC))
    if as_json:
        print_json({"tenant": str(tenant_id), **_fields(changed)})
    else:
        results.print(f"Webhook {changed.id} is {state}.")


@webhook.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(tenant_id: TenantId, webhook_id: str, yes: bool, as_json: bool) -> None:
    """Remove an endpoint of TENANT, with the list of its deliveries."""
    db = Installation().db
    if not yes:
        click.confirm(f"Remove webhook {webhook_id} of tenant {tenant_id}?", abort=True, err=True)
    remove_webhook(db, tenant_id, webhook_id, by=command_actor(), now=datetime.now(UTC))
    if as_json:
        print_json({"tenant": str(tenant_id), "id": webhook_id, "status": "removed"})
    else:
        results.print(f"Webhook {webhook_id} is removed.", markup=False)


@webhook.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("webhook_id", metavar="WEBHOOK")
@json_option
def rotate(tenant_id: TenantId, webhook_id: str, as_json: bool) -> None:
    """Make a new secret of an endpoint of TENANT; for 24 hours the one before signs as well."""
    made, secret = rotate_secret(Installation().db, tenant_id, webhook_id, by=command_actor(), now=datetime.now(UTC))
    _show_secret(made, secret, as_json)


@webhook.command("test")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("webhook_id", metavar="WEBHOOK")
@json_option
def send_test(tenant_id: TenantId, webhook_id: str, as_json: bool) -> None:
    """Queue a message to an endpoint of TENANT; a running service sends it within seconds."""
    queued = add_test(Installation().db, tenant_id, webhook_id, now=datetime.now(UTC))
    if as_json:
        print_json({"tenant": str(tenant_id), **_delivery(queued)})
    else:
        results.print(f"Queued as {queued.id}. Next: recsaas webhook deliveries {tenant_id} {webhook_id}")


@webhook.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("webhook_id", metavar="WEBHOOK")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@json_option
def deliveries(tenant_id: TenantId, webhook_id: str, limit: int, as_json: bool) -> None:
    """List what was sent to an endpoint of TENANT, or waits, newest first."""
    found = list_deliveries(Installation().db, tenant_id, webhook_id, limit=limit)
    if as_json:
        print_json({"tenant": str(tenant_id), "deliveries": [_delivery(each) for each in found]})
        return
    table = Table("id", "announced", "what", "state", "tries", "answer", "error")
    for each in found:
        answer = "" if each.answer_status is None else str(each.answer_status)
        created = f"{each.created_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(each.id, created, each.type, each.status, str(each.attempts), answer, escape(each.error or ""))
    results.print(table)


@webhook.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("webhook_id", metavar="WEBHOOK")
@click.argument("delivery_id", metavar="DELIVERY")
@json_option
def retry(tenant_id: TenantId, webhook_id: str, delivery_id: str, as_json: bool) -> None:
    """Try a delivery at once that has failed, or rests."""
    again = try_again(Installation().db, tenant_id, webhook_id, delivery_id, now=datetime.now(UTC))
    if as_json:
        print_json({"tenant": str(tenant_id), **_delivery(again)})
    else:
        results.print(f"Delivery {again.id} is tried again by a running service.")


def _show_secret(made: Webhook, secret: str, as_json: bool) -> None:
    if as_json:
        print_json({**_fields(made), "secret": secret})
    else:
        results.print(f"Webhook {made.id} to {escape(made.url)}. Its secret, shown only now:\n\n  {secret}\n")


def _fields(each: Webhook) -> dict[str, Any]:
    return {
        "id": each.id,
        "url": each.url,
        "description": each.description,
        "events": list(each.events),
        "enabled": each.enabled,
        "stopped_because": each.stopped_because,
        "created_at": each.created_at.isoformat(),
    }


def _delivery(each: Delivery) -> dict[str, Any]:
    return {
        "id": each.id,
        "event_id": each.event_id,
        "type": each.type,
        "status": each.status,
        "attempts": each.attempts,
        "answer_status": each.answer_status,
        "error": each.error,
        "created_at": each.created_at.isoformat(),
        "next_try_at": each.next_try_at.isoformat() if each.next_try_at else None,
    }

"""`recsaas tenant`: the life of tenants, their keys, see and change their settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from recsaas_assets.commands.tenants.tenant_archive import export, import_
from recsaas_assets.commands.tenants.tenant_erase import certificate, erase
from recsaas_assets.commands.tenants.tenant_key import key
from recsaas_assets.commands.tenants.tenant_mapping import mapping
from resources.access.scopes import SCOPES
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key, list_api_keys
from resources.control_db.tenants import (
    Tenant,
    change_settings,
    get_tenant,
    list_tenants,
    resume_tenant,
    suspend_tenant,
)
from resources.tenancy.provisioning import NewTenant, TenantEdit, edit_tenant, provision_tenant
from resources.tenancy.summary import summarise_tenant
from resources.tenants.settings import TenantSettings


@click.group()
def tenant() -> None:
    """Create, list, change, stop, move and erase tenants, their API keys, see and change their settings."""


@tenant.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--name", help="Name for people; the id when left out.")
@click.option("--plan", help="Id of a plan; without, the installation's default.")
@click.option("--currency", help="Code of ISO 4217, such as EUR.")
@click.option("--timezone", help="IANA name, such as Europe/Berlin.")
@click.option("--owner", metavar="EMAIL", help="Who is invited to own it.")
@click.option("--set", "wanted", metavar="NAME=VALUE", multiple=True, help="A setting; may be repeated.")
@json_option
def create(tenant_id: TenantId, name: str | None, wanted: tuple[str, ...], as_json: bool, **more: str | None) -> None:
    """Create a tenant and an API key for it. The key is shown once. Called again, whatever is missing is made."""
    site, now, by = Installation(), datetime.now(UTC), command_actor()
    new = NewTenant(
        id=tenant_id,
        name=name or str(tenant_id),
        plan=more["plan"],
        currency=more["currency"],
        timezone=more["timezone"],
        owner_email=more["owner"],
        settings={name: _value(text) for name, text in map(_assignment, wanted)},
    )
    made = provision_tenant(site.db, site.lake, new, by=by, site_url=site.settings.site_url, now=now)
    secret = None
    if not list_api_keys(site.db, tenant_id):
        _, secret = create_api_key(site.db, tenant_id, name="first key", scopes=SCOPES, now=now, by=by)
    if as_json:
        print_json({"tenant": str(made.id), "name": made.name, "status": made.status, "api_key": secret})
        return
    if secret is None:
        results.print(f"Tenant [bold]{made.id}[/] was there already, as it is wanted, and has a key.")
    else:
        results.print(f"Tenant [bold]{made.id}[/] is ready. Its API key, shown only now:\n\n  {secret}\n")
    results.print(f"Next: recsaas upload {made.id} items items.csv")


@tenant.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all tenants."""
    tenants = list_tenants(Installation().db)
    if as_json:
        fields = [
            {"tenant": str(t.id), "name": t.name, "status": t.status, "created_at": t.created_at.isoformat()}
            for t in tenants
        ]
        print_json({"tenants": fields})
        return
    if not tenants:
        results.print("There are no tenants yet. Make one: recsaas tenant create my-shop")
        return
    table = Table("tenant", "name", "status", "created")
    for t in tenants:
        table.add_row(str(t.id), t.name, t.status, f"{t.created_at:%Y-%m-%d %H:%M}")
    results.print(table)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def show(tenant_id: TenantId, as_json: bool) -> None:
    """Show what is known of TENANT and what it has; each count ends at 10,000."""
    site = Installation()
    found = get_tenant(site.db, tenant_id)
    has = None if found.erased_at is not None else summarise_tenant(site.store(tenant_id), site.decisions)
    if as_json:
        print_json(_fields(found) | {"has": None if has is None else asdict(has)})
        return
    table = Table("what", "value")
    for name, value in _fields(found).items():
        table.add_row(name, "" if value is None else escape(str(value)))
    for name, value in ({} if has is None else asdict(has)).items():
        capped = isinstance(value, dict)
        count = (
            f"{value['count']:,}{'+' if value['capped'] else ''}" if capped else str(value if value is not None else "")
        )
        table.add_row(name.replace("_", " "), count)
    results.print(table)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--name", help="Name for people.")
@click.option("--plan", help="Id of a plan; empty: the installation's default.")
@click.option("--currency", help="Code of ISO 4217; empty: none.")
@click.option("--timezone", help="IANA name; empty: none.")
@json_option
def edit(tenant_id: TenantId, as_json: bool, **given: str | None) -> None:
    """Change what is known of TENANT; `recsaas tenant settings` changes its settings."""
    fields = {name: value or None for name, value in given.items() if value is not None}
    if not fields:
        raise click.UsageError("Say what to change, such as --name.")
    changed = edit_tenant(
        Installation().db, tenant_id, TenantEdit(fields=fields), by=command_actor(), now=datetime.now(UTC)
    )
    if as_json:
        print_json(_fields(changed))
    else:
        results.print(f"Tenant [bold]{changed.id}[/] is changed.")


tenant.add_command(erase)
tenant.add_command(certificate)
tenant.add_command(export)
tenant.add_command(import_)
tenant.add_command(key)
tenant.add_command(mapping)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--reason", help="What the shop is told.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def suspend(tenant_id: TenantId, reason: str | None, yes: bool, as_json: bool) -> None:
    """Stop TENANT: within 5 seconds no worker takes its keys, and no run of it starts. What it has sent waits."""
    db = Installation().db
    get_tenant(db, tenant_id)
    if not yes:
        click.confirm(f"Suspend tenant {tenant_id}? Its shop gets no recommendations then.", abort=True, err=True)
    changed = suspend_tenant(db, tenant_id, by=command_actor(), reason=reason, now=datetime.now(UTC))
    _tell_status(changed, as_json)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def resume(tenant_id: TenantId, yes: bool, as_json: bool) -> None:
    """Let a suspended TENANT go on: its keys are taken again, and what waited is done. Undoes its erasure."""
    db = Installation().db
    get_tenant(db, tenant_id)
    if not yes:
        click.confirm(f"Resume tenant {tenant_id}?", abort=True, err=True)
    _tell_status(resume_tenant(db, tenant_id, by=command_actor(), now=datetime.now(UTC)), as_json)


@tenant.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--set", "wanted", metavar="NAME=VALUE", multiple=True, help="Change a setting; may be repeated.")
@click.option("--unset", "unwanted", metavar="NAME", multiple=True, help="Go back to the default; may be repeated.")
@json_option
def settings(tenant_id: TenantId, wanted: tuple[str, ...], unwanted: tuple[str, ...], as_json: bool) -> None:
    """Show the settings of TENANT, after changing some. Runs that start later use them.

    A VALUE is JSON, or else text: --set training.model_type=two_tower --set training.hyperparameters.dim=32
    """
    db = Installation().db
    changes = {name: _value(text) for name, text in map(_assignment, wanted)} | dict.fromkeys(unwanted)
    current = get_tenant(db, tenant_id)
    if changes:
        current = change_settings(db, tenant_id, changes, now=datetime.now(UTC), by=command_actor())
    fields = current.settings.model_dump(mode="json")
    if as_json:
        unusable = {each.name: each.reason for each in current.unusable_settings}
        print_json({"tenant": str(tenant_id), "settings": fields} | ({"unusable": unusable} if unusable else {}))
        return
    defaults = dict(_flat(TenantSettings().model_dump(mode="json")))
    table = Table("setting", "value", "default")
    for name, value in _flat(fields):
        default = defaults.get(name)
        table.add_row(name, json.dumps(value), "" if value == default else json.dumps(default))
    results.print(table)
    for each in current.unusable_settings:
        results.print(
            f"Stored, and not used: {each.name} = {each.value}: {each.reason}. Set it again, or change any other "
            "setting, which drops it.",
            markup=False,
        )


def _tell_status(changed: Tenant, as_json: bool) -> None:
    if as_json:
        print_json({"tenant": str(changed.id), "name": changed.name, "status": changed.status})
    else:
        results.print(f"Tenant [bold]{changed.id}[/] is {changed.status}.")


def _fields(tenant: Tenant) -> dict[str, Any]:
    times = ("created_at", "suspended_at", "erase_after", "erased_at")
    names = ("name", "status", "plan", "currency", "timezone", "created_by", "suspended_reason")
    shown = {name: getattr(tenant, name) for name in names}
    return {"tenant": str(tenant.id)} | shown | {name: _time(getattr(tenant, name)) for name in times}


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--set")
    return name, value


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if value is None:
        raise click.BadParameter("null is no value; use --unset NAME.", param_hint="--set")
    return value


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

"""`recsaas tenant key`: make, list and revoke the API keys of a tenant."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, notes, print_json, results
from resources.access.scopes import PLATFORM, SCOPES
from resources.base.tenant import TenantId
from resources.control_db.api_keys import ApiKey, create_api_key, list_api_keys, revoke_api_key
from resources.control_db.tenants import get_tenant


class _KeyGroup(click.Group):
    """A group that makes a key when no command is named: scripts call `recsaas tenant key TENANT --name …`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name `create` where a tenant stands in place of a command."""
        if args and args[0] not in self.commands:
            args = ["create", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_KeyGroup)
def key() -> None:
    """Make, list and revoke the API keys of a tenant."""


@key.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice((*SCOPES, PLATFORM)),
    multiple=True,
    required=True,
    help=f"May be repeated. {PLATFORM} is for the operator: it stops every tenant.",
)
@json_option
def create(tenant_id: TenantId, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make an API key for TENANT that may do only what its scopes say. The key is shown once."""
    db, by = Installation().db, command_actor()
    made, secret = create_api_key(db, tenant_id, name=name, scopes=scopes, now=datetime.now(UTC), by=by)
    if as_json:
        print_json({"tenant": str(tenant_id), "id": made.id, "name": name, "scopes": scopes, "api_key": secret})
    else:
        results.print(f"A key of tenant [bold]{tenant_id}[/] for {escape(name)}, shown only now:\n\n  {secret}\n")


@key.command("list")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def list_(tenant_id: TenantId, as_json: bool) -> None:
    """List the keys of TENANT, oldest first, revoked ones included."""
    db = Installation().db
    get_tenant(db, tenant_id)
    keys = list_api_keys(db, tenant_id)
    if as_json:
        print_json({"tenant": str(tenant_id), "keys": [_fields(each) for each in keys]})
        return
    table = Table("id", "name", "begins with", "scopes", "created", "status")
    for each in keys:
        scopes, created = ", ".join(sorted(each.scopes)), f"{each.created_at:%Y-%m-%d %H:%M}"
        table.add_row(each.id, escape(each.name), each.prefix, scopes, created, each.status)
    results.print(table)


@key.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("key_id", metavar="KEY")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke(tenant_id: TenantId, key_id: str, yes: bool, as_json: bool) -> None:
    """Revoke a key of TENANT by its id: within 5 seconds no worker takes it any more."""
    db = Installation().db
    known = {each.id: each for each in list_api_keys(db, tenant_id)}
    name = f" ({known[key_id].name})" if key_id in known else ""
    if not yes:
        click.confirm(f"Revoke key {key_id}{name} of tenant {tenant_id}? This cannot be undone.", abort=True, err=True)
    revoked = revoke_api_key(db, tenant_id, key_id, now=datetime.now(UTC), by=command_actor())
    if as_json:
        print_json({"tenant": str(tenant_id), **_fields(revoked)})
    else:
        results.print(f"Key {revoked.id} of tenant [bold]{tenant_id}[/] is revoked.")
    if not any("admin" in each.scopes for each in list_api_keys(db, tenant_id) if each.status == "active"):
        notes.print(f"Tenant {tenant_id} has no key with the scope admin any more; make one if it needs one.")


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "key_prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at.isoformat(),
        "status": key.status,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }

"""`recsaas tenant key`: make, list, rotate, end and revoke the API keys of a tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, notes, print_json, results
from resources.access.key_kinds import BROWSER_SCOPES, KEY_KINDS, KeyKind, KeyTerms
from resources.access.scopes import PLATFORM, SCOPES
from resources.base.tenant import TenantId
from resources.control_db.api_keys import ApiKey, NewKey, list_api_keys, make_api_key, revoke_api_key
from resources.control_db.tenants import get_tenant
from resources.keys.changes import change_api_key, rotate_api_key

_OVERLAPS = {"none": timedelta(), "hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


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
    """Make, list, rotate, end and revoke the API keys of a tenant."""


@key.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice((*SCOPES, PLATFORM)),
    multiple=True,
    help=f"May be repeated. {PLATFORM} is for the operator: it stops every tenant. A browser key has both of its own.",
)
@click.option(
    "--kind",
    type=click.Choice(KEY_KINDS),
    default="secret",
    show_default=True,
    help="secret for servers, browser for pages, sandbox for trying: it changes nothing.",
)
@click.option("--origin", "origins", multiple=True, help="Web origin of the pages of a browser key. May be repeated.")
@click.option(
    "--address", "addresses", multiple=True, help="Address or network that it may be used from. May be repeated."
)
@click.option("--days", type=click.IntRange(min=1, max=36_500), help="For how many days; for ever if left out.")
@json_option
def create(
    tenant_id: TenantId,
    name: str,
    scopes: tuple[str, ...],
    kind: KeyKind,
    days: int | None,
    as_json: bool,
    **bindings: tuple[str, ...],
) -> None:
    """Make an API key for TENANT that may do only what its scopes say. The key is shown once."""
    now = datetime.now(UTC)
    if not scopes and kind != "browser":
        raise click.UsageError("Missing option '--scope'.")
    terms = KeyTerms(
        name=name,
        scopes=scopes or BROWSER_SCOPES,
        kind=kind,
        expires_at=None if days is None else now + timedelta(days=days),
        **bindings,
    )
    made = make_api_key(Installation().db, tenant_id, terms, now=now, by=command_actor())
    _show_new(tenant_id, made, as_json, f"A key of tenant [bold]{tenant_id}[/] for {escape(name)}, shown only now:")


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
    table = Table("id", "name", "kind", "begins with", "scopes", "created", "ends", "last used", "status")
    for each in keys:
        times = [_minute(at) for at in (each.created_at, each.expires_at, each.last_used_at)]
        scopes, status = ", ".join(sorted(each.scopes)), each.status_at(datetime.now(UTC))
        table.add_row(each.id, escape(each.name), each.kind, each.prefix, scopes, *times, status)
    results.print(table)


@key.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("key_id", metavar="KEY")
@click.option(
    "--overlap",
    type=click.Choice(tuple(_OVERLAPS)),
    default="day",
    show_default=True,
    help="How long the old secret goes on.",
)
@json_option
def rotate(tenant_id: TenantId, key_id: str, overlap: str, as_json: bool) -> None:
    """Make a key that takes the place of another of TENANT, and end the old one after the overlap."""
    made = rotate_api_key(
        Installation().db,
        tenant_id,
        key_id,
        overlap=_OVERLAPS[overlap],
        now=datetime.now(UTC),
        by=command_actor(),
    )
    _show_new(tenant_id, made, as_json, f"The key that takes the place of {key_id}, shown only now:")


@key.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("key_id", metavar="KEY")
@click.option("--days", type=click.IntRange(min=1, max=36_500), help="How many days from now it is good for.")
@click.option("--never", is_flag=True, help="Take its end away.")
@json_option
def expire(tenant_id: TenantId, key_id: str, days: int | None, never: bool, as_json: bool) -> None:
    """Give a key of TENANT an end, another one, or none. To end it now, revoke it."""
    if never == (days is not None):
        raise click.UsageError("Say --days N or --never.")
    now = datetime.now(UTC)
    end = None if days is None else now + timedelta(days=days)
    changed = change_api_key(Installation().db, tenant_id, key_id, {"expires_at": end}, now=now, by=command_actor())
    if as_json:
        print_json({"tenant": str(tenant_id), **_fields(changed)})
    else:
        results.print(
            f"Key {changed.id} of tenant [bold]{tenant_id}[/] ends: {_minute(changed.expires_at) or 'never'}."
        )


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
    now = datetime.now(UTC)
    revoked = revoke_api_key(db, tenant_id, key_id, now=now, by=command_actor())
    if as_json:
        print_json({"tenant": str(tenant_id), **_fields(revoked)})
    else:
        results.print(f"Key {revoked.id} of tenant [bold]{tenant_id}[/] is revoked.")
    if not any("admin" in each.scopes for each in list_api_keys(db, tenant_id) if each.status_at(now) == "active"):
        notes.print(f"Tenant {tenant_id} has no key with the scope admin any more; make one if it needs one.")


def _show_new(tenant_id: TenantId, made: NewKey, as_json: bool, words: str) -> None:
    if as_json:
        print_json({"tenant": str(tenant_id), **_fields(made.key), "api_key": made.secret})
    else:
        results.print(f"{words}\n\n  {made.secret}\n")


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind,
        "key_prefix": key.prefix,
        "scopes": sorted(key.scopes),
        "addresses": list(key.addresses),
        "origins": list(key.origins),
        "made_by": key.made_by,
        "created_at": _text(key.created_at),
        "expires_at": _text(key.expires_at),
        "rotated_to": key.rotated_to,
        "last_used_at": _text(key.last_used_at),
        "last_route": key.last_route,
        "status": key.status_at(datetime.now(UTC)),
        "revoked_at": _text(key.revoked_at),
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _minute(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"

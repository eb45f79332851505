"""`recsaas usage`: what a tenant has used, and what it costs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from resources.base.errors import ConfigurationError, InvalidInput
from resources.base.tenant import TenantId
from resources.billing.prices import PriceList, read_prices
from resources.billing.statements import BillingMonth, Statement, find_statement, make_statement, statement_so_far
from resources.control_db.tenants import get_tenant
from resources.usage.current import stored_by, usage_of
from resources.usage.listing import GROUPS, Group, UsageLine, UsageQuestion, usage_lines

_DAY = click.DateTime(["%Y-%m-%d"])
_DAYS = 30


class _UsageGroup(click.Group):
    """A group that shows usage when no command is named: `recsaas usage TENANT`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name `show` where a tenant stands in place of a command."""
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_UsageGroup)
def usage() -> None:
    """Show what a tenant has used, and the statement of a month."""


@usage.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.option("--from", "since", type=_DAY, help="First UTC day; 30 days before the last when left out.")
@click.option("--to", "until", type=_DAY, help="Last UTC day; today when left out.")
@click.option("--group", "groups", type=click.Choice(GROUPS), multiple=True, help="May be repeated; day when left out.")
@json_option
def show(
    tenant_id: TenantId, since: datetime | None, until: datetime | None, groups: tuple[Group, ...], as_json: bool
) -> None:
    """Show what TENANT has used, by day, key or operation. What was answered a second ago may still be missing."""
    last = datetime.now(UTC).date() if until is None else until.date()
    first = last - timedelta(days=_DAYS - 1) if since is None else since.date()
    if first > last:
        raise InvalidInput(f"{first} is after {last}; turn --from and --to round.")
    asked = UsageQuestion(tenant_id, first, last, tuple(each for each in GROUPS if each in (groups or ("day",))))
    db = Installation().db
    get_tenant(db, tenant_id)
    with db.read() as session:
        lines = list(usage_lines(session, asked))
        total = usage_of(session, tenant_id, since=first, until=last)
        stored = stored_by(session, tenant_id, until=last)
    if as_json:
        print_json(
            {
                "tenant": str(tenant_id),
                "from": str(first),
                "to": str(last),
                "total": asdict(total),
                "stored": None if stored is None else {**asdict(stored), "day": str(stored.day)},
                "usage": [_fields(line, asked.groups) for line in lines],
            }
        )
        return
    _print_lines([*lines, UsageLine(total)], asked.groups)
    if stored is not None:
        size = f"{stored.storage_bytes / 1e6:,.1f} MB"
        results.print(f"Stored on {stored.day}: {size}, {stored.items} items, {stored.users} users.")


@usage.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("month_text", metavar="MONTH")
@click.option("--make", is_flag=True, help="Store it, if the month is over; it never changes then.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def statement(tenant_id: TenantId, month_text: str, make: bool, yes: bool, as_json: bool) -> None:
    """Show the statement of TENANT for a MONTH such as 2026-10; what it would be now where there is none."""
    month, site, now = BillingMonth.parse(month_text), Installation(), datetime.now(UTC)
    get_tenant(site.db, tenant_id)
    with site.db.read() as session:
        found = find_statement(session, tenant_id, month)
    if found is None:
        prices = _prices(site)
        if make:
            if not yes:
                click.confirm(f"Make the statement of {tenant_id} for {month}? It never changes.", abort=True, err=True)
            with site.db.write() as session:
                found = make_statement(session, tenant_id, month, prices, now=now, by=command_actor())
        else:
            with site.db.read() as session:
                found = statement_so_far(session, tenant_id, month, prices, now=now)
    if as_json:
        print_json({**found.content, "sha256": found.hash})
    else:
        _print_statement(found)


def _prices(site: Installation) -> PriceList:
    prices = read_prices(site.settings.prices)
    if prices is None:
        raise ConfigurationError("There is no price list: set RECSAAS_PRICES, see docs/usage.md.")
    return prices


def _print_lines(lines: list[UsageLine], groups: tuple[Group, ...]) -> None:
    amounts = ("calls", "refused", "failed", "items shown", "events", "rows", "training s", "CPU s")
    table = Table(*groups)
    for name in amounts:
        table.add_column(name, justify="right")
    for line in lines:
        named = {"day": line.day, "key": line.key_id, "operation": line.operation}
        is_total = all(value is None for value in named.values())
        names = ["total" if is_total and n == 0 else _shown(named[group]) for n, group in enumerate(groups)]
        table.add_row(*names, *(f"{value:,.1f}".removesuffix(".0") for value in asdict(line.usage).values()))
    results.print(table)


def _shown(value: date | str | None) -> str:
    return "" if value is None else escape(str(value)) or "–"


def _print_statement(found: Statement) -> None:
    content = found.content
    table = Table("unit", "quantity", "free", "billed", "price", "amount")
    for line in content["lines"]:
        price = f"{line['price']} / {line['per']}"
        table.add_row(line["unit"], line["quantity"], line["free"], line["billed"], price, line["amount"])
    table.add_row("monthly", "", "", "", "", content["monthly"])
    table.add_row("total", "", "", "", content["currency"], content["total"])
    results.print(table)
    results.print("So far: it is not made yet." if found.hash is None else f"Made {content['made_at']}: {found.hash}")


def _fields(line: UsageLine, groups: tuple[Group, ...]) -> dict[str, Any]:
    named = {"day": str(line.day), "key": line.key_id, "operation": line.operation}
    return {**{group: named[group] for group in groups}, **asdict(line.usage)}

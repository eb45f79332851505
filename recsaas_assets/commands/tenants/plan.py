"""`recsaas plan`: the plans, which one a tenant is on and what is used of it, and exceptions for single tenants."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.plans.allowances import RATE, Allowance, allowance_of
from resources.plans.assigned import Override, list_overrides, put_on_plan, put_override, remove_override
from resources.plans.effects import on_plan, tenants_on
from resources.plans.model import METERS, Plan
from resources.plans.plans import find_plan, list_plans
from resources.plans.use import MeterUse, over, use_of


@click.group()
def plan() -> None:
    """List plans, put tenants on them, see what they use, and make exceptions."""


@plan.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all plans with their limits, and how many tenants are on each."""
    with Installation().db.read() as session:
        found = [(each, tenants_on(session, each.id)) for each in list_plans(session)]
    if as_json:
        print_json({"plans": [{**each.model_dump(mode="json"), "tenants": tenants} for each, tenants in found]})
        return
    table = Table("plan", "name", "price", "tenants", "limits")
    for each, tenants in found:
        table.add_row(each.id, escape(each.name), escape(each.price), str(tenants), escape(_limits(each)))
    results.print(table)


@plan.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def show(tenant_id: TenantId, as_json: bool) -> None:
    """Show the plan of TENANT and what is used of every limit."""
    now = datetime.now(UTC)
    with Installation().db.read() as session:
        allowance = allowance_of(session, tenant_id, now=now)
        uses = use_of(session, allowance, now=now)
    _tell(allowance, uses, as_json)


@plan.command("set")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("plan_id", metavar="PLAN")
@click.option("--yes", is_flag=True, help="Do not ask where a limit would be too small for what is used.")
@json_option
def set_(tenant_id: TenantId, plan_id: str, yes: bool, as_json: bool) -> None:
    """Put TENANT on PLAN; within 3 seconds every worker knows."""
    db, now = Installation().db, datetime.now(UTC)
    with db.read() as session:
        new = on_plan(allowance_of(session, tenant_id, now=now), find_plan(session, plan_id))
        uses = use_of(session, new, now=now)
    if (wrong := over(uses)) and not yes:
        names = ", ".join(f"{use.meter} ({use.used:,} of {use.amount:,})" for use in wrong.values())
        click.confirm(f"Tenant {tenant_id} uses more than {plan_id} has: {names}. Put it there?", abort=True, err=True)
    with db.write() as session:
        put_on_plan(session, tenant_id, plan_id, by=command_actor(), now=now)
    _tell(new, uses, as_json)


@plan.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("meter", required=False, type=click.Choice((RATE, *METERS)))
@click.argument("amount", required=False)
@click.option("--reason", default="", help="Why; the audit log and the office show it.")
@click.option("--until", type=click.DateTime(), help="Until when it holds, UTC; without it, until it is removed.")
@click.option("--remove", is_flag=True, help="Let the limit of the plan hold again.")
@json_option
def override(
    tenant_id: TenantId,
    meter: str | None,
    amount: str | None,
    reason: str,
    until: datetime | None,
    remove: bool,
    as_json: bool,
) -> None:
    """Give TENANT another limit than its plan's, remove that again, or list what there is.

    AMOUNT is a number, or `any`: recsaas plan override my-shop calls 2000000 --reason sale --until 2027-01-01
    """
    db, now = Installation().db, datetime.now(UTC)
    if meter is not None:
        with db.write() as session:
            if remove:
                remove_override(session, tenant_id, meter, by=command_actor(), now=now)
            else:
                ends_at = None if until is None else until.replace(tzinfo=UTC)
                wanted = Override(meter, _amount(amount), reason, ends_at, now, command_actor().name)
                put_override(session, tenant_id, wanted, by=command_actor(), now=now)
    with db.read() as session:
        found = list_overrides(session, tenant_id)
    if as_json:
        print_json({"tenant": str(tenant_id), "overrides": [each.fields() for each in found]})
        return
    table = Table("limit", "amount", "until", "reason", "by")
    for each in found:
        ends = "" if each.ends_at is None else f"{each.ends_at:%Y-%m-%d %H:%M}"
        shown = "any" if each.amount is None else f"{each.amount:,g}"
        table.add_row(each.meter, shown, ends, escape(each.reason), escape(each.made_by))
    results.print(table if found else f"Tenant {tenant_id} has no exceptions.")


def _tell(allowance: Allowance, uses: tuple[MeterUse, ...], as_json: bool) -> None:
    plan, rate = allowance.plan, allowance.limits.requests_per_second
    if as_json:
        meters = [
            {
                "meter": use.meter,
                "used": use.used,
                "limit": use.amount,
                "percent": use.percent,
                "forecast": use.forecast,
                "at_limit": allowance.at_limit(use.meter),
            }
            for use in uses
        ]
        print_json({"tenant": str(allowance.tenant), "plan": plan.id, RATE: rate, "meters": meters})
        return
    results.print(f"Tenant [bold]{allowance.tenant}[/] is on the plan [bold]{escape(plan.name)}[/] ({plan.id}).")
    table = Table("limit", "used", "of", "%", "at the end of the month", "at 100 %")
    for use in uses:
        table.add_row(
            use.meter,
            f"{use.used:,}",
            "any" if use.amount is None else f"{use.amount:,}",
            "" if use.percent is None else f"{use.percent:g}",
            "" if use.forecast is None else f"{use.forecast:,}",
            "" if use.amount is None else allowance.at_limit(use.meter),
        )
    results.print(table)


def _limits(plan: Plan) -> str:
    limits = plan.limits.model_dump(exclude_none=True)
    return ", ".join(f"{name} {amount:,g}" for name, amount in limits.items()) or "none"


def _amount(text: str | None) -> float | None:
    if text is None:
        raise click.UsageError("Name the AMOUNT, a number or `any`, or --remove.")
    if text == "any":
        return None
    try:
        return float(text.replace("_", "").replace(",", ""))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number; `any` is any number.", param_hint="AMOUNT") from None

"""`recsaas rules`: what a tenant pins, boosts, buries and hides."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.markup import escape
from rich.table import Table

from recsaas_assets.commands.console import TENANT, Installation, command_actor, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.control_db.rules import add_rule, list_rules, remove_rule, unusable_rules
from resources.control_db.tenants import get_tenant
from resources.merchandising.rules import Rule, draft_of


@click.group()
def rules() -> None:
    """Pin, boost, bury and hide items. Rules hold in the next answer."""


@rules.command("list")
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@json_option
def list_(tenant_id: TenantId, as_json: bool) -> None:
    """List the rules of TENANT, ended ones included."""
    db, now = Installation().db, datetime.now(UTC)
    get_tenant(db, tenant_id)
    found, unusable = list_rules(db, tenant_id), unusable_rules(db, tenant_id)
    if as_json:
        more = {"unusable": unusable} if unusable else {}
        print_json({"tenant": str(tenant_id), "rules": [_document(rule, now) for rule in found], **more})
        return
    for rule_id in unusable:
        results.print(f"{rule_id} holds nowhere: it says what no rule says. Remove it, and add it anew.")
    if not found:
        results.print(f"Tenant {tenant_id} has no rules.")
        return
    table = Table("rule", "does", "items", "scenario", "holds", "note")
    for rule in found:
        table.add_row(
            rule.id,
            _verb(rule),
            escape(_target(rule)),
            escape(rule.scenario or "all"),
            _when(rule, now),
            escape(rule.note or ""),
        )
    results.print(table)


@rules.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("kind", type=click.Choice(["pin", "boost", "bury", "hide"]))
@click.option("--item", "item_ids", multiple=True, metavar="ID", help="An item; may be repeated.")
@click.option("--category", help="All items of a category.")
@click.option("--brand", help="All items of a brand.")
@click.option("--tag", help="All items with a tag.")
@click.option("--scenario", help="Where the rule holds; everywhere when left out.")
@click.option("--position", type=int, help="The place of a pin among the pins, 1 first.")
@click.option("--factor", type=float, help="What scores are multiplied by: 2 for a boost, 0.5 for a bury.")
@click.option("--from", "starts_at", metavar="TIME", help="From when on it holds, ISO 8601; now when left out.")
@click.option("--until", "ends_at", metavar="TIME", help="Until when it holds; for ever when left out.")
@click.option("--note", help="Why, for people.")
@json_option
def add(tenant_id: TenantId, kind: str, item_ids: tuple[str, ...], as_json: bool, **fields: str | float | None) -> None:
    """Add a rule to TENANT: pin, boost, bury or hide some items."""
    db, now = Installation().db, datetime.now(UTC)
    get_tenant(db, tenant_id)
    target = {"item_ids": item_ids or None, **{name: fields.pop(name) for name in ("category", "brand", "tag")}}
    rule = add_rule(db, tenant_id, draft_of({"kind": kind, "target": target, **fields}), now=now, by=command_actor())
    if as_json:
        print_json({"tenant": str(tenant_id), "rule": _document(rule, now)})
    else:
        results.print(
            f"{rule.id}: {_verb(rule)} {escape(_target(rule))} in {escape(rule.scenario or 'all scenarios')}."
        )


@rules.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("rule_id", metavar="RULE")
@json_option
def remove(tenant_id: TenantId, rule_id: str, as_json: bool) -> None:
    """Remove the rule RULE of TENANT."""
    db = Installation().db
    get_tenant(db, tenant_id)
    gone = remove_rule(db, tenant_id, rule_id, now=datetime.now(UTC), by=command_actor())
    if as_json:
        print_json({"tenant": str(tenant_id), "removed": rule_id})
    elif gone is None:
        results.print(f"{rule_id} is gone; it held nowhere.")
    else:
        results.print(f"{gone.id} is gone: {_verb(gone)} {escape(_target(gone))}.")


def _document(rule: Rule, now: datetime) -> dict[str, object]:
    return {**rule.model_dump(mode="json"), "active": rule.holds(rule.scenario, now)}


def _verb(rule: Rule) -> str:
    return f"{rule.kind} × {rule.multiplier:g}" if rule.kind in ("boost", "bury") else rule.kind


def _target(rule: Rule) -> str:
    target = rule.target
    if target.item_ids is not None:
        more = f" and {len(target.item_ids) - 5} more" if len(target.item_ids) > 5 else ""
        return ", ".join(target.item_ids[:5]) + more
    named = {"category": target.category, "brand": target.brand, "tag": target.tag}
    return " ".join(f"{name} {value}" for name, value in named.items() if value is not None)


def _when(rule: Rule, now: datetime) -> str:
    if rule.holds(rule.scenario, now):
        return f"until {rule.ends_at:%Y-%m-%d %H:%M}" if rule.ends_at else "always"
    return f"from {rule.starts_at:%Y-%m-%d %H:%M}" if rule.starts_at and rule.starts_at > now else "ended"

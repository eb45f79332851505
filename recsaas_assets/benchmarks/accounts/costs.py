"""`recsaas bench accounts`: what authentication, limits, metering, quotas and audit cost a recommendation."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from statistics import median

import click
from rich.table import Table
from sqlalchemy import func, select

from recsaas_assets.benchmarks.machine import machine
from recsaas_assets.benchmarks.serving.serve_data import ServedTenant, invented_contents, serve_tenant
from recsaas_assets.benchmarks.workplace import Workplace, workplace
from recsaas_assets.commands.console import json_option, notes, print_json, results
from resources.access.actor import SYSTEM
from resources.base.errors import NotReady
from resources.control_db.tables.audit import AuditRow
from resources.people.members import new_member
from resources.people.memberships import add_membership
from resources.plans.assigned import put_on_plan
from resources.plans.model import Plan, PlanLimits
from resources.plans.plans import put_plan
from resources.processes.supervisor import python
from resources.sessions.access_tokens import claims_from, signed
from resources.sessions.signing_keys import SigningKeys

_TOKEN_SECONDS = 3600
MOST_US = 40.0
"""The bar: processor time of everything together, in microseconds."""
HOW_MEASURED = (
    "The service's app in one process, called without a server between; processor time of all its threads, by one "
    "request after the other for users whose answers are kept, so that the answer itself costs as little as it can. "
    "The ways take turns in every round; a cost is the median over the rounds of the difference to `without` of the "
    "same round, which knows who asks without looking, counts nothing and waits for its turn as every request does. "
    "Metering writes to the control DB meanwhile. "
    "together: authentication by key, limits, metering and the quotas of a plan. audit_entries: what reading adds to "
    "the audit log."
)


@click.command()
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(3), help="Turns of every way.")
@click.option("--requests", default=2_000, show_default=True, type=click.IntRange(100), help="Of a way in each round.")
@json_option
def accounts(rounds: int, requests: int, as_json: bool) -> None:
    """Measure what accounts cost a recommendation; at most 40 µs of processor time are allowed together."""
    with workplace() as place:
        notes.print("Writing two releases …")
        contents = invented_contents(items=1_000, users=1_000)
        plain, planned = (serve_tenant(name, contents, lake=place.lake, db=place.db) for name in ("plain", "planned"))
        token, planned_token = _prepared(place, plain, planned)
        before = _audit_entries(place)
        notes.print("Measuring …")
        asked = {
            "tenant": plain.tenant.value,
            "key": plain.key,
            "planned_key": planned.key,
            "token": token,
            "planned_token": planned_token,
            "users": list(contents.user_ids[:200]),
            "rounds": rounds,
            "requests": requests,
        }
        figures = _measured(place, asked)
        entries = _audit_entries(place) - before
    costs = {
        name: round(median(each - base for each, base in zip(times, figures["without"], strict=True)), 2)
        for name, times in figures.items()
    }
    answer = {
        "without_us": round(median(figures["without"]), 2),
        "cost_us": costs,
        "together_us": costs["key_limits_metering_quotas"],
        "bar_us": MOST_US,
        "within_bar": costs["key_limits_metering_quotas"] <= MOST_US,
        "audit_entries": entries,
        "rounds": rounds,
        "requests": requests,
        "how_measured": HOW_MEASURED,
        "machine": machine(),
    }
    if as_json:
        print_json(answer)
        return
    table = Table("way", "µs of CPU beyond `without`")
    for name, cost in costs.items():
        table.add_row(name, f"{cost:,.1f}")
    results.print(table)
    results.print(f"without: {answer['without_us']} µs; together {answer['together_us']} of {MOST_US:g} µs.")


def _prepared(place: Workplace, plain: ServedTenant, planned: ServedTenant) -> tuple[str, str]:
    """Put one tenant on a plan with limits, let a member into each, and return the members' tokens."""
    now = datetime.now(UTC)
    with place.db.write() as session:
        limits = PlanLimits(requests_per_second=1_000_000, calls=10**12, events=10**12)
        put_plan(session, Plan(id="bench", name="Bench", limits=limits), by=SYSTEM, now=now)
        put_on_plan(session, planned.tenant, "bench", by=SYSTEM, now=now)
    return _token(place, plain, now), _token(place, planned, now)


def _token(place: Workplace, tenant: ServedTenant, now: datetime) -> str:
    """Let an owner into a tenant, and return the owner's token."""
    shop = (tenant.tenant.value, "owner")
    with place.db.write() as session:
        email = f"{tenant.tenant}@example.com"
        member = new_member(session, email=email, name="", password_hash=None, verified=True, now=now)
        session.flush()
        add_membership(session, member, tenant.tenant, "owner", by=SYSTEM, now=now)
        member_id, version = member.id, member.version
    claims = claims_from(now, member_id=member_id, version=version, shop=shop, seconds=_TOKEN_SECONDS)
    return signed(claims, SigningKeys(place.db, days=30).signer(now))


def _measured(place: Workplace, asked: dict[str, object]) -> dict[str, list[float]]:
    command = python("-m", "bento_service.benchmarking.accounts")
    done = subprocess.run(
        command, input=json.dumps(asked), env=place.environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotReady(f"The measuring process ended with {done.returncode}: {done.stderr[-2000:]}")
    figures: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _audit_entries(place: Workplace) -> int:
    with place.db.read() as session:
        return int(session.scalar(select(func.count()).select_from(AuditRow)) or 0)

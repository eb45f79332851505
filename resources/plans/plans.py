"""The plans that there are: those that come with the program, as they were changed, and those that were made here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files

from sqlalchemy import select
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import NotFound
from resources.control_db.tables.plans import PlanRow
from resources.databases.inserting import insert_into
from resources.plans.model import Plan


@cache
def shipped_plans() -> Mapping[str, Plan]:
    """The plans that come with the program, by id."""
    text = (files("resources.plans") / "shipped.toml").read_text(encoding="utf-8")
    return {id: Plan.model_validate({"id": id, **fields}) for id, fields in tomllib.loads(text).items()}


def list_plans(session: Session) -> tuple[Plan, ...]:
    """All plans, by id."""
    plans = dict(shipped_plans())
    plans |= {row.id: Plan.model_validate(row.content) for row in session.scalars(select(PlanRow))}
    return tuple(plans[id] for id in sorted(plans))


def find_plan(session: Session, plan_id: str) -> Plan:
    """Return a plan.

    Raises:
        NotFound: there is none with this id.
    """
    row = session.get(PlanRow, plan_id)
    if row is not None:
        return Plan.model_validate(row.content)
    if plan_id in shipped_plans():
        return shipped_plans()[plan_id]
    known = ", ".join(plan.id for plan in list_plans(session))
    raise NotFound(f"There is no plan {plan_id[:64]!r}; there are: {known}.")


def put_plan(session: Session, plan: Plan, *, by: Actor, now: datetime) -> None:
    """Make a plan, or change the one with this id, for every tenant that is on it."""
    content = plan.model_dump(mode="json")
    new = insert_into(session.get_bind(), PlanRow).values(
        id=plan.id, content=content, changed_at=now, changed_by=by.name
    )
    if session.scalar(new.on_conflict_do_nothing().returning(PlanRow.id)) is not None:
        shipped = shipped_plans().get(plan.id)
        before = None if shipped is None else shipped.model_dump(mode="json")
    else:  # another one may have made it in this moment
        row = session.get_one(PlanRow, plan.id, with_for_update=True, populate_existing=True)
        before = row.content
        row.content, row.changed_at, row.changed_by = content, now, by.name
    if before != content:
        change = Change(action="plan.put", object_kind="plan", object_id=plan.id, before=before, after=content)
        record(session, by, change, tenant=None, now=now)

"""Merchandising rules in the control DB; every call names its tenant."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue, ValidationError
from sqlalchemy import ScalarResult, func, select
from sqlalchemy.orm import Session

from resources.access.actor import SYSTEM, Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, RuleNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey, earlier_answer, remember_answer
from resources.control_db.tables.catalogue import RuleRow
from resources.control_db.tables.tenants import take_turns
from resources.control_db.versions import raise_state_version
from resources.merchandising.rules import MAX_RULES, MAX_TARGETS_IN_ALL, Rule, RuleDraft, changed_draft

_MOMENT = timedelta(microseconds=1)


def add_rule(
    db: ControlDb,
    tenant: TenantId,
    draft: RuleDraft,
    *,
    now: datetime,
    key: WriteKey | None = None,
    by: Actor = SYSTEM,
) -> Rule:
    """Store a rule; with a key that came before, return the rule that it made.

    Raises:
        Conflict: the tenant has as many rules as it may, they would name too many items in all, or the key came before
            with another request.
        RuleNotFound: the rule that the key made is gone.
    """
    with db.write() as session:
        take_turns(session, tenant)
        earlier = earlier_answer(session, tenant, key)
        if earlier is not None:
            return _record(_row(session, tenant, earlier["rule_id"]))
        figures = select(func.count(), func.max(RuleRow.created_at)).where(RuleRow.tenant_id == tenant.value)
        count, newest = session.execute(figures).one()
        if count >= MAX_RULES:
            raise Conflict(f"Tenant {tenant} has {MAX_RULES} rules, and cannot have more; remove some that have ended.")
        _check_targets(session, tenant, draft)
        at = now if newest is None else max(now, newest + _MOMENT)  # no two are of one age: lists have an order
        row = RuleRow(
            id=f"rule_{uuid.uuid4().hex[:20]}",
            tenant_id=tenant.value,
            rule=draft.model_dump(mode="json"),
            created_at=at,
            updated_at=at,
        )
        session.add(row)
        raise_state_version(session, tenant)
        remember_answer(session, tenant, key, {"rule_id": row.id}, now=now)
        added = Change(action="rule.add", object_kind="rule", object_id=row.id, after=row.rule)
        record(session, by, added, tenant=tenant, now=now)
        return _record(row)


def change_rule(
    db: ControlDb,
    tenant: TenantId,
    rule_id: str,
    changes: Mapping[str, JsonValue],
    *,
    now: datetime,
    by: Actor = SYSTEM,
) -> Rule:
    """Change some fields of a rule; null takes a value away.

    Raises:
        RuleNotFound: the tenant has no such rule, or none that can be used.
        InvalidInput: it would not be a rule any more.
        Conflict: the rules of the tenant would name more items in all than they may.
    """
    with db.write() as session:
        take_turns(session, tenant)
        row = _row(session, tenant, rule_id)
        _record(row)
        draft = changed_draft(row.rule, changes)
        if len(draft.target.item_ids or ()) > _targets(row.rule):
            _check_targets(session, tenant, draft, but=rule_id)
        before, row.rule, row.updated_at = row.rule, draft.model_dump(mode="json"), now
        raise_state_version(session, tenant)
        _record_change(session, by, row, before, now)
        return _record(row)


def remove_rule(db: ControlDb, tenant: TenantId, rule_id: str, *, now: datetime, by: Actor = SYSTEM) -> Rule | None:
    """Remove a rule and return what it was; None when it was none that this version can use.

    Raises:
        RuleNotFound: the tenant has no such rule.
    """
    with db.write() as session:
        take_turns(session, tenant)
        row = _row(session, tenant, rule_id)
        session.delete(row)
        raise_state_version(session, tenant)
        before = row.rule if isinstance(row.rule, dict) else {"stored": row.rule}
        removed = Change(action="rule.remove", object_kind="rule", object_id=row.id, before=before)
        record(session, by, removed, tenant=tenant, now=now)
        return _usable(row)


def get_rule(db: ControlDb, tenant: TenantId, rule_id: str) -> Rule:
    """Return a rule.

    Raises:
        RuleNotFound: the tenant has no such rule.
    """
    with db.read() as session:
        return _record(_row(session, tenant, rule_id))


def list_rules(db: ControlDb, tenant: TenantId) -> tuple[Rule, ...]:
    """The tenant's rules that can be used, oldest first."""
    with db.read() as session:
        return read_rules(session, tenant)


def unusable_rules(db: ControlDb, tenant: TenantId) -> tuple[str, ...]:
    """Ids of stored rules that hold nowhere, because they say what no rule of this version says; oldest first."""
    with db.read() as session:
        return tuple(row.id for row in _rows(session, tenant) if _usable(row) is None)


def read_rules(session: Session, tenant: TenantId) -> tuple[Rule, ...]:
    """As `list_rules`, as this transaction sees them."""
    return tuple(rule for row in _rows(session, tenant) if (rule := _usable(row)) is not None)


def _record_change(session: Session, by: Actor, row: RuleRow, before: Mapping[str, Any], now: datetime) -> None:
    """Record the fields of a rule that have changed; nothing when none has."""
    names = [name for name in row.rule if before.get(name) != row.rule[name]]
    if names:
        change = Change(
            action="rule.change",
            object_kind="rule",
            object_id=row.id,
            before={name: before.get(name) for name in names},
            after={name: row.rule[name] for name in names},
        )
        record(session, by, change, tenant=TenantId(row.tenant_id), now=now)


def _rows(session: Session, tenant: TenantId) -> ScalarResult[RuleRow]:
    statement = select(RuleRow).where(RuleRow.tenant_id == tenant.value).order_by(RuleRow.created_at, RuleRow.id)
    return session.scalars(statement)


def _check_targets(session: Session, tenant: TenantId, draft: RuleDraft, *, but: str = "") -> None:
    """Refuse a rule with which all rules would name too many items; `but` is the rule that it takes the place of."""
    named = len(draft.target.item_ids or ())
    if not named:
        return
    others = select(RuleRow.rule).where(RuleRow.tenant_id == tenant.value, RuleRow.id != but)
    in_all = sum(map(_targets, session.scalars(others)), start=named)
    if in_all > MAX_TARGETS_IN_ALL:
        raise Conflict(
            f"The rules of tenant {tenant} would name {in_all:,} items in all, and may name {MAX_TARGETS_IN_ALL:,}; "
            "remove some, or use a category, brand or tag."
        )


def _targets(rule: Any) -> int:
    try:
        return len(rule["target"]["item_ids"])
    except (KeyError, IndexError, TypeError):  # the target is a category, brand or tag; or this is no rule
        return 0


def _row(session: Session, tenant: TenantId, rule_id: str) -> RuleRow:
    row = session.get(RuleRow, rule_id)
    if row is None or row.tenant_id != tenant.value:
        raise RuleNotFound(f"Tenant {tenant} has no rule {rule_id[:60]!r}; list the rules to see which it has.")
    return row


def _record(row: RuleRow) -> Rule:
    rule = _usable(row)
    if rule is None:
        raise RuleNotFound(
            f"Rule {row.id} is stored, and says what no rule says: it holds nowhere. Remove it, and add it anew."
        )
    return rule


def _usable(row: RuleRow) -> Rule | None:
    """The rule, unless an earlier version has stored what none may say today: it must not end every answer."""
    if not isinstance(row.rule, dict):
        return None
    try:
        return Rule.model_validate(
            {**row.rule, "id": row.id, "created_at": row.created_at, "updated_at": row.updated_at}
        )
    except ValidationError:
        return None

"""Rules that an earlier version stored, and that say what no rule says: they hold nowhere, and can be removed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from resources.base.errors import RuleNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.rules import add_rule, change_rule, get_rule, list_rules, remove_rule, unusable_rules
from resources.control_db.tables.catalogue import RuleRow
from resources.control_db.tenants import create_tenant
from resources.merchandising.rules import RuleDraft, RuleTarget

BLUE, NOW = TenantId("blue"), datetime(2026, 1, 1, tzinfo=UTC)
PIN = {"kind": "pin", "target": {"item_ids": ["lamp"]}}


@pytest.mark.parametrize(
    "stored",
    [{}, [], "rule", {**PIN, "kind": "sink"}, {**PIN, "factor": 1e308}, {**PIN, "target": "lamp"}, {**PIN, "b": 1},
     {**PIN, "starts_at": "soon"}],
)  # fmt: skip
def test_a_stored_rule_that_is_none_stops_no_other(db: ControlDb, stored: Any) -> None:
    create_tenant(db, BLUE, name="Blue", now=NOW)
    with db.write() as session:
        session.add(RuleRow(id="bad", tenant_id="blue", rule=stored, created_at=NOW, updated_at=NOW))
    good = add_rule(db, BLUE, RuleDraft(kind="hide", target=RuleTarget(item_ids=("mug",))), now=NOW)
    assert list_rules(db, BLUE) == (good,)
    assert unusable_rules(db, BLUE) == ("bad",)
    for use in (lambda: get_rule(db, BLUE, "bad"), lambda: change_rule(db, BLUE, "bad", {"note": "x"}, now=NOW)):
        with pytest.raises(RuleNotFound, match="holds nowhere"):
            use()
    assert remove_rule(db, BLUE, "bad", now=datetime.now(UTC)) is None
    assert unusable_rules(db, BLUE) == ()

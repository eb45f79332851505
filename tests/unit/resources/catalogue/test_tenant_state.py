"""What a tenant has changed since its release: overlay and rules, as one answer sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from resources.base.errors import Conflict, InvalidInput, RuleNotFound
from resources.control_db.items import mark_items_taken_in, pending_item_changes, read_item_changes
from resources.control_db.rules import add_rule, change_rule, list_rules, remove_rule
from resources.control_db.versions import state_version
from resources.merchandising.rules import Rule, draft_of
from resources.ranker.eligibility.overlay import ALL_FIELDS, NO_CHANGES
from resources.ranker.eligibility.rules import NO_RULES, RankRules
from resources.recommendations.tenant_state import TenantState
from resources.release.catalogue import Catalogue
from resources.release.contents import ITEM_SCHEMA
from resources.release.load import LoadedRelease
from tests.unit.resources.catalogue.conftest import NOW, ItemShop

ITEMS = [("a", "Audio", "Acme", "new|red"), ("b", "audio ", "Bolt", "red"), ("c", "Kitchen", "acme", None)]


@dataclass(frozen=True)
class Release:
    """What a state looks at of a release."""

    catalogue: Catalogue
    item_rows: dict[str, int]
    manifest: Any
    version: str


@pytest.fixture
def release() -> Callable[..., LoadedRelease]:
    def make(watermark: int = 0, *, has_catalogue: bool = True, version: str = "r1") -> LoadedRelease:
        rows = [
            {
                "item_row": row,
                "item_id": name,
                "category": category,
                "brand": brand,
                "tags": tags,
                "in_catalogue": has_catalogue,
            }
            for row, (name, category, brand, tags) in enumerate(ITEMS)
        ]
        frame = pl.DataFrame(rows, schema_overrides=dict(ITEM_SCHEMA))
        missing = [
            pl.lit(None, dtype=dtype).alias(name) for name, dtype in ITEM_SCHEMA.items() if name not in frame.columns
        ]
        frame = frame.with_columns(missing).with_columns(pl.col("has_vector").fill_null(True))
        known = {name: row for row, (name, *_) in enumerate(ITEMS)}
        manifest = SimpleNamespace(item_watermark=watermark)
        return cast(LoadedRelease, Release(Catalogue(frame.select(list(ITEM_SCHEMA))), known, manifest, version))

    return make


def rule(shop: ItemShop, kind: str, target: dict[str, Any], **fields: Any) -> Rule:
    return add_rule(shop.db, shop.tenant, draft_of({"kind": kind, "target": target, **fields}), now=shop.later())


def resolved(shop: ItemShop, release: LoadedRelease, *, scenario: str | None = None, minutes: int = 60) -> RankRules:
    state = TenantState.load(shop.db, shop.tenant, release)
    return in_force(state, scenario, NOW + timedelta(minutes=minutes), release.catalogue)


def in_force(state: TenantState, scenario: str | None, now: datetime, catalogue: Catalogue) -> RankRules:
    return state.resolved(state.active(scenario, now), catalogue)


def test_a_tenant_that_changed_nothing_has_nothing(shop: ItemShop, release: Callable[..., LoadedRelease]) -> None:
    state = TenantState.load(shop.db, shop.tenant, release())
    assert (state.version, state.overlay, state.rules) == (0, NO_CHANGES, ())
    assert in_force(state, None, NOW, release().catalogue) is NO_RULES
    assert state.active(None, NOW) == ()


def test_the_overlay_holds_what_came_after_the_watermark(shop: ItemShop, release: Callable[..., LoadedRelease]) -> None:
    shop.patch("a", price=1.0)
    watermark = shop.delete("b").last_seq
    shop.put("b", title="B again", tags="x|y")
    shop.patch("b", price=3.0, description="long")
    shop.patch("c", available=False)
    shop.patch("c", description="no field of an answer")
    shop.patch("uploaded-since", price=4.0)
    shop.put("new", title="New")
    shop.delete("new")
    overlay = TenantState.load(shop.db, shop.tenant, release(watermark)).overlay
    assert overlay.closed == {"new"}
    assert set(overlay.opened) == {"b", "c"}
    b, c = overlay.opened["b"], overlay.opened["c"]
    assert (b.given, b.title, b.price, b.tags, b.category) == (ALL_FIELDS, "B again", 3.0, "x|y", None)
    assert (c.given, c.available) == (frozenset({"available"}), False)
    whole = TenantState.load(shop.db, shop.tenant, release()).overlay
    assert set(whole.opened) == {"a", "b", "c"}


def test_a_state_goes_on_from_the_one_before_on_the_same_release(
    shop: ItemShop, release: Callable[..., LoadedRelease], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.patch("a", price=1.0, title="One")
    shop.delete("b")
    first = TenantState.load(shop.db, shop.tenant, release())
    rule(shop, "hide", {"brand": "Acme"})
    second = TenantState.load(shop.db, shop.tenant, release(), before=first)
    assert second.overlay is first.overlay and len(second.rules) == 1
    shop.patch("a", price=2.0)
    shop.put("b", title="Back")
    shop.delete("c")
    read: list[int] = []
    monkeypatch.setattr(
        "resources.recommendations.tenant_state.read_item_changes",
        lambda session, tenant, *, after: read.append(after) or read_item_changes(session, tenant, after=after),
    )
    third = TenantState.load(shop.db, shop.tenant, release(), before=second)
    whole = TenantState.load(shop.db, shop.tenant, release())
    assert (third.version, third.overlay.closed) == (whole.version, whole.overlay.closed) == (6, {"c"})
    assert third.overlay.opened == whole.overlay.opened
    assert (third.overlay.opened["a"].title, third.overlay.opened["a"].price) == ("One", 2.0)
    other = TenantState.load(shop.db, shop.tenant, release(third.last_change, version="r2"), before=third)
    assert not other.overlay
    assert read == [2, 0, 5]
    assert first.overlay.opened["a"].price == 1.0 and first.overlay.closed == {"b"}  # what was handed out stays


def test_a_patch_does_not_bring_a_deleted_item_back(shop: ItemShop, release: Callable[..., LoadedRelease]) -> None:
    shop.delete("a")
    shop.patch("a", price=1.0)
    overlay = TenantState.load(shop.db, shop.tenant, release()).overlay
    assert (overlay.closed, dict(overlay.opened)) == ({"a"}, {})


def test_without_a_catalogue_old_deletions_still_count(shop: ItemShop, release: Callable[..., LoadedRelease]) -> None:
    shop.delete("a")
    shop.delete("b")
    watermark = shop.put("b", title="B").last_seq
    assert not TenantState.load(shop.db, shop.tenant, release(watermark)).overlay
    bare = release(watermark, has_catalogue=False)
    assert TenantState.load(shop.db, shop.tenant, bare).overlay.closed == {"a"}
    shop.put("a", title="A again")
    overlay = TenantState.load(shop.db, shop.tenant, bare).overlay
    assert (overlay.closed, set(overlay.opened)) == (frozenset(), {"a"})


def test_every_change_raises_the_version_of_its_tenant_alone(shop: ItemShop, other_shop: ItemShop) -> None:
    seen = [0]
    added = None
    for step in (
        lambda: shop.put("a", title="A"),
        lambda: shop.delete("a"),
        lambda: rule(shop, "hide", {"brand": "Acme"}),
        lambda: change_rule(shop.db, shop.tenant, list_rules(shop.db, shop.tenant)[0].id, {"note": "x"}, now=NOW),
        lambda: remove_rule(shop.db, shop.tenant, list_rules(shop.db, shop.tenant)[0].id, now=NOW),
    ):
        added = step()
        seen.append(state_version(shop.db, shop.tenant))
    assert added is not None and seen == [0, 1, 2, 3, 4, 5]
    assert state_version(shop.db, other_shop.tenant) == 0


def test_rules_are_resolved_to_items_with_their_changes(shop: ItemShop, release: Callable[..., LoadedRelease]) -> None:
    shop.patch("a", category="Kitchen")
    shop.put("new", title="New", category=" AUDIO", tags="green|red ")
    rule(shop, "pin", {"item_ids": ["z", "b"]})
    rule(shop, "pin", {"item_ids": ["c", "b"]}, position=1)
    rule(shop, "boost", {"category": "audio"}, factor=3)
    rule(shop, "bury", {"tag": "RED"})
    rule(shop, "hide", {"brand": "ACME"})
    rules = resolved(shop, release())
    assert rules.pinned == ("c", "b", "z")
    assert rules.boosts == {"b": 1.5, "new": 1.5, "a": 0.5}
    assert rules.hidden == {"a", "c"}
    rule(shop, "boost", {"item_ids": ["b"]}, factor=100)
    assert resolved(shop, release()).boosts["b"] == 100.0


def test_a_rule_holds_in_its_scenario_and_time(shop: ItemShop, release: Callable[..., LoadedRelease]) -> None:
    window = {"starts_at": NOW + timedelta(minutes=10), "ends_at": NOW + timedelta(minutes=20)}
    everywhere = rule(shop, "hide", {"item_ids": ["a"]}, **window)
    home = rule(shop, "hide", {"item_ids": ["b"]}, scenario="home")
    state, catalogue = TenantState.load(shop.db, shop.tenant, release()), release().catalogue
    expected = {9: {"b"}, 10: {"a", "b"}, 19: {"a", "b"}, 20: {"b"}}
    for minutes, hidden in expected.items():
        now = NOW + timedelta(minutes=minutes)
        assert in_force(state, "home", now, catalogue).hidden == hidden
        assert in_force(state, "cart", now, catalogue).hidden == hidden - {"b"}
    assert state.active("home", NOW + timedelta(minutes=15)) == (everywhere.id, home.id)
    assert state.active(None, NOW) == ()
    now = NOW + timedelta(minutes=15)
    assert in_force(state, "home", now, catalogue) is in_force(state, "home", now, catalogue)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "pin", "target": {"category": "x"}}, "rule"),
        ({"kind": "hide", "target": {}}, "target"),
        ({"kind": "hide", "target": {"brand": "x", "tag": "y"}}, "target"),
        ({"kind": "hide", "target": {"item_ids": []}}, "target.item_ids"),
        ({"kind": "hide", "target": {"tag": "y"}, "factor": 2}, "rule"),
        ({"kind": "boost", "target": {"tag": "y"}, "factor": 0.5}, "rule"),
        ({"kind": "bury", "target": {"tag": "y"}, "factor": 0}, "factor"),
        ({"kind": "boost", "target": {"tag": "y"}, "position": 1}, "rule"),
        ({"kind": "hide", "target": {"tag": "y"}, "starts_at": "2025-02-01", "ends_at": "2025-01-01"}, "rule"),
        ({"kind": "push", "target": {"tag": "y"}}, "kind"),
    ],
)
def test_what_is_no_rule_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        draft_of(fields)
    assert refused.value.details[0].field == field


def test_rules_of_another_tenant_are_not_there(shop: ItemShop, other_shop: ItemShop) -> None:
    mine = rule(shop, "hide", {"brand": "Acme"})
    for step in (
        lambda: remove_rule(shop.db, other_shop.tenant, mine.id, now=NOW),
        lambda: change_rule(shop.db, other_shop.tenant, mine.id, {"note": "x"}, now=NOW),
    ):
        with pytest.raises(RuleNotFound):
            step()
    assert list_rules(shop.db, other_shop.tenant) == ()
    assert list_rules(shop.db, shop.tenant) == (mine,)


def test_a_tenant_has_so_many_rules_and_no_more(shop: ItemShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.control_db.rules.MAX_RULES", 2)
    for _ in range(2):
        rule(shop, "hide", {"brand": "Acme"})
    with pytest.raises(Conflict, match="has 2 rules"):
        rule(shop, "hide", {"brand": "Acme"})


def test_changes_wait_for_a_run_until_one_has_taken_them_in(shop: ItemShop, other_shop: ItemShop) -> None:
    first = shop.put("a", title="A")
    second = shop.patch("a", price=2.0)
    other = other_shop.put("a", title="A")
    mine, theirs = sorted(pending_item_changes(shop.db), key=lambda each: each.first_seq)
    assert (mine.tenant, mine.first_seq, mine.first_at) == (shop.tenant, first.last_seq, first.created_at)
    assert mine.last_at == second.created_at
    assert (theirs.tenant, theirs.first_seq) == (other_shop.tenant, other.last_seq)
    mark_items_taken_in(shop.db, shop.tenant, up_to=first.last_seq, run_id="r1")
    (mine, _) = sorted(pending_item_changes(shop.db), key=lambda each: each.first_seq)
    assert mine.first_seq == second.last_seq
    mark_items_taken_in(shop.db, shop.tenant, up_to=second.last_seq, run_id="r2")
    mark_items_taken_in(shop.db, shop.tenant, up_to=first.last_seq, run_id="late")
    assert [each.tenant for each in pending_item_changes(shop.db)] == [other_shop.tenant]

"""The installation that the recorded questions are asked: shops with releases, and with what happened since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from bento_service.app import create_app
from resources.access.scopes import SCOPES
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import create_tenant, suspend_tenant
from resources.release.store import ReleaseStore, new_version
from resources.storage.lake import Lake
from resources.tenants.settings import TenantSettings
from tests.recorded.dice import Dice
from tests.recorded.release import BRANDS, CATEGORIES, NOW, TAGS, Plan, contents_of, draft_of
from tests.unit.bento_service.client import Client, client_of

EVENTS_BEFORE, CHANGES_BEFORE = 30, 6
"""Events and item changes of the first shop that its release has taken in."""
BLUE = Plan("b", 360, 140, seed=1, event_watermark=EVENTS_BEFORE, item_watermark=CHANGES_BEFORE)
GREEN = Plan("g", 60, 20, seed=2, model=False)
AMBER = Plan("a", 150, 40, seed=3, fold_in=False, second_stage="trees")
UMBER = Plan("m", 40, 20, seed=4, popularity=False, second_stage="damaged")
VIOLET = Plan("v", 40, 20, seed=5, popularity=False)
PLANS = {"blue": BLUE, "green": GREEN, "amber": AMBER, "umber": UMBER, "violet": VIOLET}
"""By tenant: a model with everything; popularity; a second stage, and none that can be read; the last good release,
because the one that the pointer names is damaged."""
NEW_USERS = tuple(f"new {n}" for n in range(12))
SESSIONS = tuple(f"visit-{n}" for n in range(8))
NEW_ITEMS = tuple(f"fresh-{n}" for n in range(12))
KINDS = ("view", "view", "click", "purchase", "like", "add_to_cart", "dislike", "bought", "hated", "View ")


@dataclass(frozen=True)
class Site:
    """The installation while it answers.

    Attributes:
        keys: credentials by tenant, or by tenant and what they are for.
        rules: names of rules by their ids, which are random.
    """

    app: FastAPI
    client: Client
    db: ControlDb
    lake: Lake
    keys: dict[str, str]
    rules: dict[str, str] = field(default_factory=dict)

    def send(self, by: str, do: str, body: Any = None) -> tuple[int, str]:
        """Send a request, `do` is its method and path; return the status and the text of the answer."""
        method, path = do.split(" ", 1)
        headers = {"Authorization": f"Bearer {self.keys[by]}"} if by else {}
        options = {} if body is None else {"content": body if isinstance(body, str) else json.dumps(body)}
        if options:
            headers["Content-Type"] = "application/json"
        answer = self.client.request(method, path, headers=headers, **options)
        if do == "POST /api/v1/rules" and answer.is_success:
            self.rules[answer.json()["id"]] = f"rule-{len(self.rules)}"
        return answer.status_code, answer.text

    def must(self, by: str, do: str, body: Any = None) -> Any:
        """Send a request that cannot fail, and return what is answered."""
        status, text = self.send(by, do, body)
        assert status in (200, 201, 202), f"{do} {body}: {text}"
        return json.loads(text)


@contextmanager
def opened(home: Path) -> Iterator[Site]:
    """Build the installation below `home`, with a clock that stands still, and answer for it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECSAAS_HOME", str(home))
        changes = {"rate_limit": 1e9, "pointer_check_seconds": 0, "log_level": "CRITICAL"}
        settings = load_settings(home).model_copy(update=changes)
        lake = Lake.open(settings.lake_url, scratch=settings.scratch)
        db = open_control_db(settings.database_url)
        app = create_app(settings, db, lake, lambda: NOW)
        with client_of(app) as client:
            site = Site(app, client, db, lake, _keys(db))
            _happened_before(site)
            _release(site)
            _happened_since(site)
            yield site
        app.state.services.decisions.close()
        app.state.services.contexts.close()
        db.close()


def _keys(db: ControlDb) -> dict[str, str]:
    """Create the tenants, and return their keys; there is one without a release and one that is suspended."""
    keys = {"wrong": "rsk_wrong"}
    words = TenantSettings(interaction_types={"bought": "purchase", "hated": "dislike"})
    for name in (*PLANS, "empty", "grey"):
        tenant = TenantId(name)
        create_tenant(db, tenant, name=name.title(), now=NOW, settings=words)
        keys[name] = create_api_key(db, tenant, name="all", scopes=SCOPES, now=NOW)[1]
    page = ("recommendations:read", "interactions:write")
    keys["blue page"] = create_api_key(db, TenantId("blue"), name="page", scopes=page, now=NOW)[1]
    keys["blue writer"] = create_api_key(db, TenantId("blue"), name="writer", scopes=page[1:], now=NOW)[1]
    suspend_tenant(db, TenantId("grey"))
    return keys


def event(dice: Dice, plan: Plan, number: str) -> dict[str, Any]:
    """Invent an event: of users that a release knows and of others, with and without a visit."""
    body: dict[str, Any] = {
        "user_id": dice.pick((*plan.user_ids[:12], *NEW_USERS[:8])),
        "item_id": dice.pick((*plan.item_ids, *NEW_ITEMS, "nothing")),
        "interaction_type": dice.pick(KINDS),
        "event_id": f"event-{number}",
        "timestamp": f"2024-05-{1 + dice.below(31):02}T{dice.below(24):02}:30:00Z",
    }
    if dice.chance(0.3):
        body["session_id"] = dice.pick(SESSIONS[:6])
    if dice.chance(0.1):
        del body["timestamp"]
    if dice.chance(0.1):
        body |= {"interaction_type": "recommendations_shown", "metadata": {"place": "home"}}
    return body


def item(dice: Dice, item_id: str) -> dict[str, Any]:
    """Describe an item of the catalogue."""
    return {
        "item_id": item_id,
        "title": dice.pick((f"Fresh {item_id}", '„Fresh" \\ é')),
        "category": dice.pick((*CATEGORIES, None)),
        "brand": dice.pick(BRANDS),
        "price": (1 + dice.below(200)) / 2,
        "tags": dice.some(TAGS, dice.below(3)),
        "available": dice.pick((True, True, True, None, False)),
    }


def _happened_before(site: Site) -> None:
    dice = Dice(11)
    events = [event(dice, BLUE, f"before-{n}") for n in range(EVENTS_BEFORE)]
    site.must("blue", "POST /events", {"events": events})
    for n in range(CHANGES_BEFORE):
        site.must("blue", "POST /api/v1/items", item(dice, f"b{41 + n:03}"))


def _release(site: Site) -> None:
    for tenant, plan in PLANS.items():
        store = ReleaseStore(site.lake.tenant(TenantId(tenant)))
        version = new_version(NOW, "00000001")
        store.write(version, contents_of(plan), draft_of(plan, tenant))
        store.promote(version, NOW, "test")
        if plan is VIOLET:
            damaged = new_version(NOW, "00000002")
            store.write(damaged, contents_of(replace(plan, seed=6)), draft_of(plan, tenant))
            store.promote(damaged, NOW, "test")
            (Path(str(store.directory(damaged))) / "items.parquet").write_bytes(b"damaged")


def _happened_since(site: Site) -> None:
    for number, (tenant, plan) in enumerate(PLANS.items()):
        dice = Dice(20 + number)
        events = [event(dice, plan, f"since-{n}") for n in range(90 if plan is BLUE else 25)]
        site.must(tenant, "POST /api/v1/interactions", {"events": events})
    for user in ("sated stranger", "sated visitor"):  # new ones, who have seen everything
        items = (*BLUE.item_ids, *NEW_ITEMS)
        seen = [{"user_id": user, "item_id": each, "interaction_type": "view"} for each in items]
        site.must("blue", "POST /events", {"events": seen})
    dice = Dice(31)
    for tenant in ("blue", "green", "amber"):
        plan = PLANS[tenant]
        site.must(tenant, "POST /api/v1/items", {"items": [item(dice, each) for each in NEW_ITEMS[:8]]})
        changed = dice.some(plan.item_ids[7:], 14)
        for each, change in zip(changed, _CHANGES, strict=True):
            path = f"/api/v1/items/{each.replace('/', '%2F').replace(' ', '%20').replace('ü', '%C3%BC')}"
            if change is None:
                site.must(tenant, f"DELETE {path}")
            else:
                site.must(tenant, "POST /api/v1/items", {"item_id": each, "title": f"Now {each}", **change})
        site.must(tenant, f"DELETE /api/v1/items/{NEW_ITEMS[7]}")
        site.must(
            tenant, f"PATCH /api/v1/items/{NEW_ITEMS[0]}", {"price": None, "category": "Audio", "available": True}
        )
    for rule in rules(BLUE):
        site.must("blue", "POST /api/v1/rules", rule)
    for rule in rules(GREEN)[:3]:
        site.must("green", "POST /api/v1/rules", rule)
    for rule in rules(AMBER)[2:6]:
        site.must("amber", "POST /api/v1/rules", rule)


_CHANGES: tuple[dict[str, Any] | None, ...] = (
    None,
    None,
    None,
    {"available": False, "category": "Audio"},
    {"available": False},
    {"available": True, "category": "Kitchen", "price": 3.5},
    {"available": True, "category": "Garden", "brand": "New brand"},
    {"price": 0.5},
    {"price": 99.5, "category": "Tools"},
    {"category": "A new category", "tags": ["new"]},
    {"category": "Food", "tags": "sale|red", "image_url": "https://shop.example/now.jpg"},
    {"category": "Shoes", "available": None},
    {"category": "Bücher", "price": 12.25},
    {},
)
"""What became of items since the release; None: deleted."""


def rules(plan: Plan) -> list[dict[str, Any]]:
    """Return rules of every kind, for every scenario or one, in force by any clock or by none."""
    ids = plan.item_ids
    return [
        {"kind": "pin", "target": {"item_ids": [ids[11], NEW_ITEMS[1]]}, "position": 2, "scenario": "checkout"},
        {"kind": "hide", "target": {"item_ids": [ids[12], ids[13], "nothing"]}},
        {"kind": "boost", "target": {"category": "kitchen"}, "note": "summer"},
        {"kind": "bury", "target": {"brand": "BOLT"}, "factor": 0.25},
        {"kind": "boost", "target": {"tag": "gift"}, "factor": 1.5, "scenario": "home"},
        {"kind": "pin", "target": {"item_ids": [ids[21], ids[12], ids[22]]}, "position": 1, "scenario": "home"},
        {"kind": "hide", "target": {"category": "Toys & Games"}, "scenario": "checkout"},
        {"kind": "hide", "target": {"tag": "größe L"}, "ends_at": "2024-06-01T12:00:00Z"},
        {"kind": "hide", "target": {"brand": "acme"}, "starts_at": "2100-01-01T00:00:00Z"},
        {"kind": "boost", "target": {"item_ids": ids[30:36]}, "factor": 8, "starts_at": "2024-06-01T12:00:00Z"},
        {"kind": "bury", "target": {"tag": "brass"}, "scenario": "checkout", "ends_at": "2100-01-01T00:00:00Z"},
        {"kind": "pin", "target": {"item_ids": [NEW_ITEMS[2]]}, "scenario": "similar"},
    ]

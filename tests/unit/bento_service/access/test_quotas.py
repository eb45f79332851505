"""PlanLimits of plans where requests come in: what is refused, with which answer, and that others notice nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from bento_service.access.limits import PlanRates, RateLimit
from bento_service.access.plan_states import PlanStates
from bento_service.api.data import items
from resources.access.actor import SYSTEM
from resources.catalogue.edits import put_edits
from resources.control_db.engine import ControlDb
from resources.control_db.items import append_item_changes
from resources.control_db.tables.events import EventRow
from resources.control_db.tables.plans import QuotaWarningRow, UsageRow
from resources.control_db.tables.uploads import UploadRow
from resources.plans.assigned import Override, put_on_plan, put_override
from resources.plans.model import Plan, PlanLimits
from resources.plans.plans import put_plan
from resources.stores.tenant_store import TenantStore
from resources.uploads.store import catalogue_size
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop

RECOMMEND = "/api/v1/recommendations"
EVENT = {"user_id": "u1", "item_id": "b1", "interaction_type": "view"}


class Time:
    """A clock of what is known of plans that is moved by hand."""

    def __init__(self, states: PlanStates) -> None:
        self.at = 1_000.0
        states.clock = lambda: self.at

    def passes(self) -> None:
        """Let more time go by than a standing is believed."""
        self.at += 4.0


@pytest.fixture
def time(app: FastAPI) -> Time:
    return Time(app.state.services.plans)


def limit(db: ControlDb, shop: Shop, limits: PlanLimits, **more: Any) -> None:
    with db.write() as session:
        put_plan(session, Plan(id="small", name="Small", limits=limits, **more), by=SYSTEM, now=NOW)
        put_on_plan(session, shop.tenant, "small", by=SYSTEM, now=NOW)


def ask(client: Client, shop: Shop) -> httpx.Response:
    return client.post(RECOMMEND, json={"user_id": "u1", "count": 2}, headers=shop.headers)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"] if answer.status_code >= 400 else ""


def test_calls_are_refused_at_the_limit_and_those_of_others_are_not(
    client: Client, db: ControlDb, blue: Shop, green: Shop
) -> None:
    limit(db, blue, PlanLimits(calls=3))
    assert [code_of(ask(client, blue)) for _ in range(5)] == [(200, "")] * 3 + [(402, "quota_exceeded")] * 2
    refused = ask(client, blue)
    assert "3 calls a month; 3 are used" in refused.json()["error"]["message"]
    assert "Retry-After" not in refused.headers
    assert ask(client, green).status_code == 200
    shown = client.get("/api/v1/plan", headers=blue.headers)
    assert shown.status_code == 200, shown.text
    assert client.get("/api/v1/api-keys", headers=blue.headers).status_code == 200


def test_a_limit_that_waits_says_until_when(client: Client, db: ControlDb, blue: Shop) -> None:
    limit(db, blue, PlanLimits(calls=1), at_limit={"calls": "wait"})
    ask(client, blue)
    refused = ask(client, blue)
    assert code_of(refused) == (429, "quota_exceeded")
    assert int(refused.headers["Retry-After"]) == 29 * 86_400 + 12 * 3_600 + 1  # to the first of July


def test_a_limit_that_bills_refuses_nothing(client: Client, db: ControlDb, blue: Shop) -> None:
    limit(db, blue, PlanLimits(calls=1), at_limit={"calls": "bill"})
    assert {ask(client, blue).status_code for _ in range(3)} == {200}


def test_what_was_written_by_others_counts_within_seconds(
    client: Client, db: ControlDb, blue: Shop, time: Time
) -> None:
    limit(db, blue, PlanLimits(calls=100))
    assert ask(client, blue).status_code == 200
    with db.write() as session:
        session.add(usage_row(blue, calls=99))
    assert ask(client, blue).status_code == 200  # believed for three seconds
    time.passes()
    assert code_of(ask(client, blue)) == (402, "quota_exceeded")


def test_a_larger_plan_lifts_it_within_seconds(client: Client, db: ControlDb, blue: Shop, time: Time) -> None:
    limit(db, blue, PlanLimits(calls=1))
    assert [ask(client, blue).status_code for _ in range(2)] == [200, 402]
    with db.write() as session:
        put_override(session, blue.tenant, Override("calls", 10, "sorry", None, NOW, ""), by=SYSTEM, now=NOW)
    time.passes()
    assert ask(client, blue).status_code == 200


def test_calls_that_fail_or_are_refused_are_not_counted(
    client: Client, db: ControlDb, app: FastAPI, blue: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(db, blue, PlanLimits(calls=2))
    ask(client, blue)

    async def broken(*_: object) -> bytes:
        raise RuntimeError("of ours")

    with monkeypatch.context() as patch:
        patch.setattr(type(app.state.services.answering), "recommend", broken)
        assert {ask(client, blue).status_code for _ in range(4)} == {500}
    assert client.post(RECOMMEND, json={}, headers=blue.key_with("items:write")).status_code == 403
    assert [ask(client, blue).status_code for _ in range(2)] == [200, 402]


def test_a_batch_counts_each_of_its_requests(client: Client, db: ControlDb, blue: Shop) -> None:
    limit(db, blue, PlanLimits(calls=5))
    body = {"requests": [{"user_id": "u1"}] * 3}
    statuses = [client.post(f"{RECOMMEND}/batch", json=body, headers=blue.headers).status_code for _ in range(2)]
    assert statuses == [200, 402]
    assert [ask(client, blue).status_code for _ in range(3)] == [200, 200, 402]


def test_events_are_refused_whole_before_anything_is_stored(client: Client, db: ControlDb, blue: Shop) -> None:
    limit(db, blue, PlanLimits(events=6))

    def send(*ids: str) -> httpx.Response:
        events = [{**EVENT, "event_id": each} for each in ids]
        return client.post("/api/v1/interactions", json={"events": events}, headers=blue.headers)

    assert send("a", "b", "c").status_code == 200
    assert send("a", "b", "c").status_code == 200  # again the same: nothing new, nothing counted
    assert code_of(send("d", "e", "f", "g")) == (402, "quota_exceeded")
    with db.read() as session:
        assert len(session.scalars(select(EventRow)).all()) == 3
    assert send("d", "e", "f").status_code == 200
    assert code_of(send("g")) == (402, "quota_exceeded")
    each = client.post("/api/v1/interactions?partial=true", json={"events": [EVENT]}, headers=blue.headers)
    assert code_of(each) == (402, "quota_exceeded")
    assert ask(client, blue).status_code == 200  # answers have no limit


def test_a_file_for_which_there_is_no_room_is_refused_whole(client: Client, db: ControlDb, blue: Shop) -> None:
    limit(db, blue, PlanLimits(rows=3))
    head = "user_id,item_id,interaction_type,timestamp\n"

    def send(*rows: str) -> httpx.Response:
        file = head + "".join(f"{row},view,2024-05-01\n" for row in rows)
        return client.post("/api/v1/upload/interactions", files={"file": ("x.csv", file)}, headers=blue.headers)

    assert send("u1,b1", "u2,b1").status_code == 200
    assert code_of(send("u3,b1", "u4,b1")) == (402, "quota_exceeded")
    with db.read() as session:
        assert len(session.scalars(select(UploadRow)).all()) == 1
    assert send("u3,b1").status_code == 200


def test_items_are_counted_as_the_catalogue_has_them(client: Client, db: ControlDb, blue: Shop) -> None:
    limit(db, blue, PlanLimits(items=3))

    def put(*ids: str) -> int:
        body = {"items": [{"item_id": each, "title": each} for each in ids]}
        return client.post("/api/v1/items", json=body, headers=blue.headers).status_code

    def upload(*rows: str) -> int:
        file = "item_id,title,deleted\n" + "".join(f"{row}\n" for row in rows)
        sent = client.post("/api/v1/upload/items", files={"file": ("x.csv", file)}, headers=blue.headers)
        return sent.status_code

    assert upload("i1,One,", "i2,Two,") == 200
    assert put("i2", "i3") == 200  # one of them is new
    assert put("i4") == 402
    assert upload("i1,Uno,", "i2,Due,", "i3,Tre,") == 200  # all are there: as large as before
    assert upload("i1,1,", "i9,9,") == 402
    assert client.request("DELETE", "/api/v1/items/i1", headers=blue.headers).status_code == 200
    assert put("i4") == 200
    assert put("i5") == 402
    assert upload("i2,,true", "i5,Five,") == 200  # one goes, one comes


@pytest.mark.parametrize(
    ("ids", "looks", "status"), [(("i3",), 1, 200), (("i1", "i2", "i3"), 2, 200), (("i3", "i4"), 2, 402)]
)
@pytest.mark.parametrize("query", ["", "?validate_only=true"])
def test_the_catalogue_is_looked_at_once_while_there_is_room(
    client: Client,
    db: ControlDb,
    blue: Shop,
    monkeypatch: pytest.MonkeyPatch,
    ids: tuple[str, ...],
    looks: int,
    status: int,
    query: str,
) -> None:
    def put(ids: Sequence[str]) -> int:
        body = {"items": [{"item_id": each, "title": each} for each in ids]}
        return client.post(f"/api/v1/items{query}", json=body, headers=blue.headers).status_code

    edits = put_edits([{"item_id": each, "title": each} for each in ("i1", "i2")], now=NOW, place="")
    append_item_changes(db, blue.tenant, edits, now=NOW)
    limit(db, blue, PlanLimits(items=3))
    seen: list[object] = []

    def looked(store: TenantStore, **given: Any) -> int:
        seen.append(given)
        return catalogue_size(store, **given)

    monkeypatch.setattr(items, "catalogue_size", looked)
    assert (put(ids), len(seen)) == (status, looks)


def test_training_needs_minutes_and_the_feature(client: Client, db: ControlDb, blue: Shop, green: Shop) -> None:
    limit(db, blue, PlanLimits(training_minutes=1), features=("search",))
    body = {"model_type": "two_tower"}
    assert code_of(client.post("/api/v1/train", json=body, headers=blue.headers)) == (402, "not_in_plan")
    assert client.post("/api/v1/train", json=body, headers=green.headers).status_code == 202
    with db.write() as session:
        session.add(usage_row(blue, training_ms=60_000))
    assert code_of(client.post("/api/v1/train", json={}, headers=blue.headers)) == (402, "quota_exceeded")


def test_a_warning_stands_in_the_header_and_is_told_once(
    client: Client, app: FastAPI, db: ControlDb, blue: Shop, green: Shop, time: Time
) -> None:
    limit(db, blue, PlanLimits(calls=10))
    assert "X-Quota-Warning" not in ask(client, blue).headers
    with db.write() as session:
        session.add(usage_row(blue, calls=8))
    time.passes()
    assert ask(client, blue).headers["X-Quota-Warning"] == "calls 80 %"
    time.passes()
    ask(client, blue)
    assert "X-Quota-Warning" not in ask(client, green).headers
    client.run(partial(warned, app.state.services.plans))
    with db.read() as session:
        assert [(row.meter, row.share) for row in session.scalars(select(QuotaWarningRow))] == [("calls", 80)]
    plan = client.get("/api/v1/plan", headers=blue.headers).json()
    assert [warning.partition(":")[0] for warning in plan["warnings"]] == ["calls"]


def test_no_answer_waits_for_a_warning(
    client: Client, app: FastAPI, db: ControlDb, blue: Shop, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = app.state.services.plans
    note, may_go_on, noted = plans._note, Event(), []

    def slow(*given: Any) -> Any:
        assert may_go_on.wait(60)
        noted.append(note(*given))
        return noted[-1]

    monkeypatch.setattr(plans, "_note", slow)
    limit(db, blue, PlanLimits(calls=10))
    with db.write() as session:
        session.add(usage_row(blue, calls=8))
    for _ in range(2):
        assert ask(client, blue).headers["X-Quota-Warning"] == "calls 80 %"
        time.passes()
    assert noted == []
    may_go_on.set()
    client.run(partial(warned, plans))
    with db.read() as session:
        assert len(session.scalars(select(QuotaWarningRow)).all()) == 1


async def warned(plans: PlanStates) -> None:
    """Wait until all that was read so far is warned of."""
    if plans._warning is not None:
        await plans._warning


def test_the_rate_of_the_plan_replaces_that_of_the_installation(
    client: Client, db: ControlDb, app: FastAPI, blue: Shop, green: Shop, time: Time
) -> None:
    limit(db, blue, PlanLimits(requests_per_second=3))
    limits = app.state.services.limits
    limits._plans = PlanRates()
    limits._plans._limits[3.0] = RateLimit("tenant", 3.0, clock=lambda: 0.0)
    answers = [ask(client, blue) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Limit"] for answer in answers] == ["3"] * 4
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert code_of(answers[3]) == (429, "rate_limited")
    assert ask(client, green).headers["X-RateLimit-Limit"] == "100000"
    limit(db, blue, PlanLimits())
    time.passes()
    assert ask(client, blue).headers["X-RateLimit-Limit"] == "100000"


def test_a_month_that_ends_brings_what_the_next_one_has(settings: Any, db: ControlDb, lake: Any, blue: Shop) -> None:
    from bento_service.app import create_app
    from tests.unit.bento_service.client import client_of

    limit(db, blue, PlanLimits(calls=1))
    times = [NOW]
    app = create_app(settings, db, lake, lambda: times[0])
    time = Time(app.state.services.plans)
    with client_of(app) as client:
        assert [ask(client, blue).status_code for _ in range(2)] == [200, 402]
        app.state.services.usage.take()
        assert app.state.services.usage.write()
        times[0] = NOW + timedelta(days=30)
        time.passes()
        assert [ask(client, blue).status_code for _ in range(2)] == [200, 402]
    app.state.services.decisions.close()


def test_plans_hold_on_while_the_control_db_is_away(
    client: Client, db: ControlDb, app: FastAPI, blue: Shop, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    limit(db, blue, PlanLimits(calls=2))
    ask(client, blue)

    def away(*_: object) -> None:
        raise OperationalError("", None, Exception("away"))

    monkeypatch.setattr(app.state.services.plans, "_look_up", away)
    time.passes()
    assert [ask(client, blue).status_code for _ in range(2)] == [200, 402]


def test_many_tenants_are_read_together(
    client: Client, db: ControlDb, app: FastAPI, blue: Shop, green: Shop, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shop in (blue, green):
        ask(client, shop)
    reads: list[tuple[str, ...]] = []
    look_up = app.state.services.plans._look_up

    def noted(tenants: tuple[str, ...], *given: Any) -> Any:
        reads.append(tuple(sorted(tenants)))
        return look_up(tenants, *given)

    monkeypatch.setattr(app.state.services.plans, "_look_up", noted)
    time.passes()
    for shop in (blue, green, blue):
        assert ask(client, shop).status_code == 200
    assert reads == [("blue", "green")]


def usage_row(shop: Shop, **amounts: int) -> UsageRow:
    names = ("calls", "recommended_items", "events", "uploaded_rows", "training_ms", "cpu_ms")
    return UsageRow(
        tenant_id=shop.tenant.value,
        day=NOW.date(),
        key_id="another",
        operation="recommend",
        status="2xx",
        **{name: amounts.get(name, 0) for name in names},
    )


@pytest.fixture(autouse=True)
def _no_waiting(app: FastAPI) -> Iterator[None]:
    """Refusals are not held back: that is another test's."""
    app.state.services.limits.refusals.seconds = lambda _: 0.0
    yield

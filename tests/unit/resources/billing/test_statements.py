"""Statements: worked out by hand, made once, never changed."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select, update

from resources.audit.entries import AuditRow
from resources.base.errors import ConfigurationError, Conflict, CorruptArtifact, InvalidInput
from resources.base.tenant import TenantId
from resources.billing.prices import PriceList, read_prices
from resources.billing.samples import store_sample
from resources.billing.statements import (
    BillingMonth,
    find_statement,
    list_statements,
    make_statement,
    note_told,
    statement_so_far,
    statements_to_tell,
)
from resources.billing.upkeep import UsageUpkeep
from resources.control_db.engine import ControlDb
from resources.control_db.tables.plans import StatementRow, UsageSampleRow
from resources.control_db.tables.webhooks import WebhookEventRow, WebhookRow
from resources.storage.lake import Lake
from resources.usage.adding import add_usage
from resources.usage.amounts import Amounts, Counted

pytestmark = pytest.mark.databases
Shops = tuple[TenantId, TenantId]
MAY = BillingMonth(2025, 5)
PRICES = """
currency = "EUR"
monthly = "49.00"
[[prices]]
unit = "calls"
price = 0.35
per = 1000
free = 10000
[[prices]]
unit = "training_minutes"
price = "0.015"
[[prices]]
unit = "stored_gigabytes"
price = "0.10"
"""


@pytest.fixture
def prices(tmp_path: Path) -> PriceList:
    (tmp_path / "prices.toml").write_text(PRICES)
    found = read_prices(str(tmp_path / "prices.toml"))
    assert found is not None
    return found


def add(db: ControlDb, tenant: TenantId, day: date, amounts: Amounts, status: str = "2xx") -> None:
    with db.write() as session:
        add_usage(session, {Counted(tenant.value, day, "k1", "recommend", status): amounts})


def test_a_statement_by_hand(db: ControlDb, shops: Shops, prices: PriceList, now: datetime) -> None:
    blue, green = shops
    add(db, blue, date(2025, 5, 1), Amounts(calls=12_000, training_ms=61_000))
    add(db, blue, date(2025, 5, 31), Amounts(calls=345))
    add(db, blue, date(2025, 6, 1), Amounts(calls=10**6))
    add(db, blue, date(2025, 4, 30), Amounts(calls=10**6))
    add(db, blue, date(2025, 5, 2), Amounts(calls=10**6), status="5xx")
    add(db, blue, date(2025, 5, 2), Amounts(calls=10**6), status="refused")
    add(db, green, date(2025, 5, 2), Amounts(calls=10**6))
    with db.write() as session:
        store_sample(session, blue, date(2025, 5, 1), {"bytes:uploads": 10**9, "bytes:releases": 10**9, "items": 7})
        store_sample(session, blue, date(2025, 5, 2), {"bytes:uploads": 5 * 10**8, "items": 7})
    with db.read() as session:
        content = statement_so_far(session, blue, MAY, prices, now=now).content
    amounts = {line["unit"]: (line["quantity"], line["billed"], line["amount"]) for line in content["lines"]}
    # 2345 calls at 0.35 a thousand are 0.82075; 61 s are 1.016667 minutes, at 0.015 each 0.01525; (2 + 0.5) / 2 GB.
    assert amounts == {
        "calls": ("12345", "2345", "0.82"),
        "training_minutes": ("1.016667", "1.016667", "0.02"),
        "stored_gigabytes": ("1.25", "1.25", "0.13"),
    }
    assert (content["monthly"], content["total"], content["so_far"]) == ("49.00", "49.97", False)


def test_halves_are_rounded_up_and_exactly(db: ControlDb, shops: Shops, now: datetime) -> None:
    """2.675 is less than itself as a binary number: it would become 2.67."""
    blue, _ = shops
    add(db, blue, date(2025, 5, 1), Amounts(calls=1))
    one = read_prices('{"currency": "EUR", "prices": [{"unit": "calls", "price": 2.675}]}')
    assert one is not None
    with db.read() as session:
        assert statement_so_far(session, blue, MAY, one, now=now).content["total"] == "2.68"


def test_a_statement_is_made_once_and_never_changes(
    db: ControlDb, shops: Shops, prices: PriceList, now: datetime
) -> None:
    blue, _ = shops
    add(db, blue, date(2025, 5, 1), Amounts(calls=12_000))
    with db.write() as session:
        made = make_statement(session, blue, MAY, prices, now=now)
    add(db, blue, date(2025, 5, 1), Amounts(calls=12_000))
    with db.write() as session:
        again = make_statement(session, blue, MAY, prices, now=now + timedelta(days=1))
    assert again == made and made.content["total"] == "49.70"
    with db.read() as session:
        assert list_statements(session, blue, limit=10) == (made,)
        row = session.get_one(StatementRow, (blue.value, "2025-05"))
        assert hashlib.sha256(row.content.encode()).hexdigest() == made.hash
        entries = session.scalars(select(AuditRow).where(AuditRow.action == "statement.make")).all()
        assert [(entry.chain, entry.object_id) for entry in entries] == [("blue", "2025-05")]


def test_one_of_several_processes_makes_it(db: ControlDb, shops: Shops, prices: PriceList, now: datetime) -> None:
    blue, _ = shops
    made = []

    def make() -> None:
        with db.write() as session:
            made.append(make_statement(session, blue, MAY, prices, now=now))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4 and len({each.hash for each in made}) == 1
    with db.read() as session:
        assert len(session.scalars(select(AuditRow).where(AuditRow.action == "statement.make")).all()) == 1


def test_a_changed_statement_is_not_shown(db: ControlDb, shops: Shops, prices: PriceList, now: datetime) -> None:
    blue, _ = shops
    with db.write() as session:
        make_statement(session, blue, MAY, prices, now=now)
        session.execute(update(StatementRow).values(content=StatementRow.content + " "))
    with db.read() as session, pytest.raises(CorruptArtifact, match="blue for 2025-05"):
        find_statement(session, blue, MAY)


def test_a_changed_statement_holds_up_no_other(db: ControlDb, shops: Shops, prices: PriceList, now: datetime) -> None:
    blue, green = shops
    with db.write() as session:
        for shop in shops:
            make_statement(session, shop, MAY, prices, now=now)
        changed = update(StatementRow).where(StatementRow.tenant_id == blue.value)
        session.execute(changed.values(content=StatementRow.content + " "))
    with db.write() as session:
        (waiting,) = statements_to_tell(session, limit=1)
        assert waiting.tenant == green
        note_told(session, waiting, now=now)
        assert statements_to_tell(session, limit=1) == ()


def test_a_running_month_has_none(db: ControlDb, shops: Shops, prices: PriceList) -> None:
    blue, _ = shops
    for now in (datetime(2025, 5, 31, 23, 59, tzinfo=UTC), datetime(2025, 6, 1, 0, 59, tzinfo=UTC)):
        with db.read() as session:
            assert statement_so_far(session, blue, MAY, prices, now=now).content["so_far"]
        with db.write() as session, pytest.raises(Conflict, match="2025-05"):
            make_statement(session, blue, MAY, prices, now=now)


def test_it_is_announced(db: ControlDb, shops: Shops, prices: PriceList, now: datetime) -> None:
    blue, _ = shops
    with db.write() as session:
        session.add(
            WebhookRow(
                id="whk-1",
                tenant_id=blue.value,
                url="https://shop.example.com/hook",
                description="",
                events=["usage.statement"],
                enabled=True,
                secret="s",
                created_at=now,
                updated_at=now,
            )
        )
    with db.write() as session:
        made = make_statement(session, blue, MAY, prices, now=now)
    with db.read() as session:
        (event,) = session.scalars(select(WebhookEventRow))
    assert event.type == "usage.statement"
    assert event.data == {**made.content, "sha256": made.hash}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")


def test_upkeep_is_done_by_one_process_an_hour(db: ControlDb, lake: Lake, shops: Shops, prices: PriceList) -> None:
    """It samples what is stored, and makes the statements of the month before, of tenants that were there."""
    blue, _ = shops  # made on 1 June
    times = [datetime(2025, 7, 1, 0, 30, tzinfo=UTC)]
    upkeeps = [UsageUpkeep(db, lake, prices, lambda: times[0], holder=f"w{n}", stop=Event()) for n in range(2)]
    (lake.tenant(blue).root / "uploads" / "u1").mkdir(parents=True)
    (lake.tenant(blue).root / "uploads" / "u1" / "report.json").write_text("12345")
    (lake.tenant(blue).root / "note").write_text("1")
    assert [upkeep.run() for upkeep in (*upkeeps, upkeeps[0])] == [True, False, False]
    with db.read() as session:
        samples = {(row.tenant_id, row.kind): row.amount for row in session.scalars(select(UsageSampleRow))}
        assert not session.scalars(select(StatementRow)).all()  # the hour after the month is not over
    assert samples[("blue", "bytes:uploads")] == 5 and samples[("blue", "bytes:other")] == 1
    assert samples[("blue", "items")] == samples[("green", "users")] == 0
    times[0] += timedelta(hours=1)
    assert [upkeep.run() for upkeep in reversed(upkeeps)] == [True, False]
    with db.read() as session:
        made = {(row.tenant_id, row.month) for row in session.scalars(select(StatementRow))}
    assert made == {("blue", "2025-06"), ("green", "2025-06")}


def test_upkeep_that_died_is_taken_up_by_another(db: ControlDb, lake: Lake, shops: Shops) -> None:
    times = [datetime(2025, 7, 1, 0, 30, tzinfo=UTC)]
    dead, alive = (UsageUpkeep(db, lake, None, lambda: times[0], holder=f"w{n}", stop=Event()) for n in range(2))
    dead._keep_turn()
    assert not alive.run()
    times[0] += timedelta(minutes=11)
    assert alive.run()


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "/no/such/file.toml",
        '{"currency": "euro"}',
        '{"currency": "EUR", "prices": [{"unit": "miles", "price": 1}]}',
        '{"currency": "EUR", "prices": [{"unit": "calls", "price": -1}]}',
        '{"currency": "EUR", "prices": [{"unit": "calls", "price": NaN}]}',
        '{"currency": "EUR", "prices": [{"unit": "calls", "price": 1, "per": 0}]}',
        '{"currency": "EUR", "prices": [{"unit": "calls", "price": 1}, {"unit": "calls", "price": 2}]}',
        '{"currency": "EUR", "price": []}',
    ],
)
def test_what_is_no_price_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="RECSAAS_PRICES"):
        read_prices(text)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "text", ["2025-13", "2025-00", "2025-1", "25-01", "1999-12", "²025-01", "2025-01-1", "", "9999-1"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="2026-10"):
        BillingMonth.parse(text)

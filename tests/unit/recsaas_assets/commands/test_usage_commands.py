"""`recsaas usage`."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recsaas_assets.cli import cli
from resources.base.tenant import TenantId
from resources.billing.samples import store_sample
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import create_tenant
from resources.usage.adding import add_usage
from resources.usage.amounts import Amounts, Counted

BLUE = TenantId("blue")
PRICES = '{"currency": "EUR", "prices": [{"unit": "calls", "price": 0.5, "per": 10}]}'


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, db: ControlDb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    monkeypatch.setenv("RECSAAS_PRICES", PRICES)
    create_tenant(db, BLUE, name="Blue", now=datetime(2025, 1, 1, tzinfo=UTC))
    with db.write() as session:
        for day, key, calls in ((1, "k1", 20), (2, "k1", 30), (2, "k2", 100)):
            counted = Counted("blue", date(2025, 5, day), key, "recommend", "2xx")
            add_usage(session, {counted: Amounts(calls=calls)})


def recsaas(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == status, result.output
    return result.output


def asked(*arguments: str) -> Any:
    return json.loads(recsaas("usage", *arguments, "--json"))


def test_usage_of_a_stretch_of_days(db: ControlDb) -> None:
    with db.write() as session:
        store_sample(session, BLUE, date(2025, 5, 2), {"bytes:uploads": 5_000_000, "items": 3})
    days = ("--from", "2025-05-01", "--to", "2025-05-02")
    found = asked("blue", *days)
    assert [(line["day"], line["calls"]) for line in found["usage"]] == [("2025-05-01", 20), ("2025-05-02", 130)]
    assert (found["total"]["calls"], found["stored"]["storage_bytes"]) == (150, 5_000_000)
    by_key = asked("show", "blue", *days, "--group", "key")
    assert [(line["key"], line["calls"]) for line in by_key["usage"]] == [("k1", 50), ("k2", 100)]
    text = recsaas("usage", "blue", *days)
    assert "total" in text and "150" in text and "5.0 MB, 3 items" in text
    assert asked("blue", "--from", "2025-05-02", "--to", "2025-05-02")["total"]["calls"] == 130


def test_a_stretch_that_ends_before_it_begins_is_refused() -> None:
    result = recsaas("usage", "blue", "--from", "2025-05-02", "--to", "2025-05-01", status=1)
    assert "2025-05-02 is after 2025-05-01" in result


def test_a_statement_is_shown_made_and_stays(db: ControlDb) -> None:
    assert (asked("statement", "blue", "2025-05")["total"], asked("statement", "blue", "2025-05")["sha256"]) == (
        "7.50",
        None,
    )
    made = asked("statement", "blue", "2025-05", "--make", "--yes")
    assert len(made["sha256"]) == 64
    with db.write() as session:
        add_usage(session, {Counted("blue", date(2025, 5, 1), "k1", "recommend", "2xx"): Amounts(calls=1000)})
    assert asked("statement", "blue", "2025-05") == made
    assert "7.50" in recsaas("usage", "statement", "blue", "2025-05")


def test_without_a_price_list_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSAAS_PRICES", "")
    assert "RECSAAS_PRICES" in recsaas("usage", "statement", "blue", "2025-05", status=1)


def test_a_running_month_is_not_made() -> None:
    month = f"{datetime.now(UTC):%Y-%m}"
    assert "not over" in recsaas("usage", "statement", "blue", month, "--make", "--yes", status=1)

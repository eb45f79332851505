"""Enough to train? Counted over real stored uploads and real events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.base.errors import TenantNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import create_tenant
from resources.events.log import IMPRESSION, Event, EventLog
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.training import readiness
from resources.training.readiness import Counts, measure_readiness
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload

pytestmark = pytest.mark.databases

BLUE = TenantId("blue")
START = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "user_id,item_id,interaction_type,timestamp"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")


@pytest.fixture
def blue(db: ControlDb) -> TenantId:
    create_tenant(db, BLUE, name="Blue", now=START)
    return BLUE


def upload(lake: Lake, db: ControlDb, *lines: str, day: int, header: str = HEADER) -> None:
    store_upload(
        TenantStore(lake, db, BLUE),
        IncomingUpload(
            Kind.INTERACTIONS,
            "\n".join([header, *lines]).encode(),
            filename="a.csv",
            origin="cli",
            received_at=START + timedelta(days=day),
        ),
        UploadPolicy(TenantSettings(), max_bytes=10**7),
    )


def event(user: str, item: str | None, kind: str, hour: int) -> Event:
    when = START + timedelta(hours=hour)
    return Event(
        event_id=f"{user}{item}{kind}{hour}", user_id=user, item_id=item, interaction_type=kind, timestamp=when
    )


def test_a_tenant_without_data_is_told_the_first_step(lake: Lake, db: ControlDb, blue: TenantId) -> None:
    found = measure_readiness(TenantStore(lake, db, blue))
    assert (found.level, found.next_level, found.counts, found.exact) == ("not_ready", "trainable", Counts(), True)
    assert found.missing == ("1 more interaction that is more than a dislike (1 is needed to train at all)",)
    with pytest.raises(TenantNotFound):
        measure_readiness(TenantStore(lake, db, TenantId("nobody")))


def test_what_counts_is_what_trains(lake: Lake, db: ControlDb, blue: TenantId) -> None:
    """Not dislikes nor the pairs they remove, not impressions, not what is in an upload and in the event log."""
    upload(
        lake,
        db,
        "ana,a,view,2026-01-01T00:00:00Z",
        "ana,a,purchase,2026-01-01T05:00:00Z",
        "ana,b,view,2026-01-02T00:00:00Z",
        "bo,a,view,2026-01-02T00:00:00Z",
        "bo,c,view,2026-01-02T01:00:00Z",
        "bo,c,dislike,2026-01-02T02:00:00Z",
        day=3,
    )
    events = [
        event("ana", "b", "view", 24),  # in the upload as well
        event("cy", "d", "click", 72),
        event("cy", None, IMPRESSION, 73),
    ]
    EventLog(db).append(blue, events, now=START + timedelta(days=4))
    found = measure_readiness(TenantStore(lake, db, blue))
    assert found.counts == Counts(interactions=5, users=3, users_with_two_items=1, items=3, times=6, days=3)
    assert found.level == "trainable"
    assert found.missing[0].startswith("195 more interactions")
    assert "19 more users with two different items (20 are needed to measure" in found.missing[2]


def test_deleted_rows_do_not_count_and_those_sent_again_do(lake: Lake, db: ControlDb, blue: TenantId) -> None:
    upload(lake, db, "ana,a,view,2026-01-01T00:00:00Z", "ana,b,view,2026-01-01T00:00:00Z", day=1)
    tracked = event("bo", "a", "view", 5)
    EventLog(db).append(blue, [tracked], now=START + timedelta(days=1))
    deleting = HEADER + ",event_id,deleted"
    upload(
        lake,
        db,
        "ana,a,view,2026-01-01T00:00:00Z,,true",
        "ana,b,view,2026-01-01T00:00:00Z,,true",
        "ana,b,view,2026-01-01T00:00:00Z,,",
        f"x,x,view,2026-01-01T00:00:00Z,{tracked.event_id},true",
        day=2,
        header=deleting,
    )
    assert measure_readiness(TenantStore(lake, db, blue)).counts.interactions == 1
    upload(lake, db, "ana,a,view,2026-01-01T00:00:00Z", "cy,a,view,2026-01-01T00:00:00Z", day=3)
    assert measure_readiness(TenantStore(lake, db, blue)).counts.interactions == 3


def test_an_event_counts_that_repeats_a_row_deleted_before_it_came(lake: Lake, db: ControlDb, blue: TenantId) -> None:
    upload(lake, db, "ana,a,view,2026-01-01T00:00:00Z", day=1)
    upload(lake, db, "ana,a,view,2026-01-01T00:00:00Z,true", day=2, header=f"{HEADER},deleted")
    EventLog(db).append(blue, [event("ana", "a", "view", 0)], now=START + timedelta(days=3))
    assert measure_readiness(TenantStore(lake, db, blue)).counts.interactions == 1


def test_levels_rise_with_the_data(lake: Lake, db: ControlDb, blue: TenantId, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where the newest rows reach the highest level alone, the others are not read."""

    def lines(first: int, last: int) -> list[str]:
        return [f"u{n % 1000},i{(n + n // 1000) % 60},view,{START + timedelta(minutes=3 * n):%Y-%m-%dT%H:%M:%SZ}"
                for n in range(first, last)]  # fmt: skip

    upload(lake, db, *lines(0, 400), day=61)
    assert measure_readiness(TenantStore(lake, db, blue)).level == "trainable"  # nobody has two items yet
    upload(lake, db, *lines(400, 2400), day=62)
    found = measure_readiness(TenantStore(lake, db, blue))
    assert (found.level, found.next_level) == ("evaluable", "good")
    assert found.missing[0].startswith("7,600 more interactions")
    upload(lake, db, *lines(2400, 13_000), day=63)
    found = measure_readiness(TenantStore(lake, db, blue))
    assert (found.level, found.missing, found.counts.interactions, found.exact) == ("good", (), 13_000, True)
    monkeypatch.setattr(readiness, "CERTAIN_ROWS", 10_100)
    found = measure_readiness(TenantStore(lake, db, blue))
    assert (found.level, found.counts.interactions, found.exact) == ("good", 10_100, False)
    monkeypatch.setattr(readiness, "CERTAIN_ROWS", 5_000)
    found = measure_readiness(TenantStore(lake, db, blue))
    assert (found.counts.interactions, found.exact) == (13_000, True)


def test_an_id_that_may_stand_for_everybody_is_told(lake: Lake, db: ControlDb, blue: TenantId) -> None:
    rows = [f"{'guest' if n % 2 else f'u{n}'},i{n},view,2025-12-{1 + n % 28:02}" for n in range(60)]
    upload(lake, db, *rows, day=1)
    (warning,) = measure_readiness(TenantStore(lake, db, BLUE)).warnings
    assert warning.startswith("50.0% of the interactions have the user_id 'guest', ten times as many as any other.")
    assert "uploads.placeholder_ids" in warning


def test_what_came_back_is_no_interaction(lake: Lake, db: ControlDb, blue: TenantId) -> None:
    rows = [
        "u,lamp,purchase,2026-01-01T00:00:00Z,2",
        "u,lamp,purchase,2026-01-02T00:00:00Z,-2",
        "u,mug,purchase,2026-01-01T00:00:00Z,2",
        "u,mug,purchase,2026-01-02T00:00:00Z,-1",
        "u,rug,purchase,2026-01-01T00:00:00Z,0",
    ]
    upload(lake, db, *rows, day=5, header=f"{HEADER},quantity")
    counts = measure_readiness(TenantStore(lake, db, BLUE)).counts
    assert (counts.interactions, counts.items, counts.users_with_two_items) == (1, 1, 0)

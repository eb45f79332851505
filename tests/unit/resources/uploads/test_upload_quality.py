"""Quality of one upload, from its report and the tenant's history; every figure is worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resources.base.tenant import TenantId
from resources.control_db.uploads import UploadRecord
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.quality import UploadQuality, upload_quality, volume_of
from resources.uploads.contract.report import UploadReport, UploadStatistics, status_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def report(
    kind: Kind = Kind.INTERACTIONS, *, accepted: int = 100, rejected: int = 0, duplicate: int = 0, **statistics: Any
) -> UploadReport:
    return UploadReport(
        upload_id="this",
        kind=kind,
        status=status_of(accepted=accepted, rejected=rejected, duplicate=duplicate),
        filename="a.csv",
        sha256="0",
        rows_total=accepted + rejected + duplicate,
        rows_accepted=accepted,
        rows_rejected=rejected,
        rows_duplicate=duplicate,
        statistics=UploadStatistics(**statistics),
    )


def earlier(*rows: int, kind: Kind = Kind.INTERACTIONS) -> list[UploadRecord]:
    return [
        UploadRecord(TenantId("blue"), f"u{n}", kind.value, "0", "f", "cli", "success", rows, 0, 0, NOW)
        for n, rows in enumerate(rows)
    ]


def measure(report: UploadReport, *history: int) -> UploadQuality:
    return upload_quality(report, earlier(*history), now=NOW)


def test_shares_are_of_the_rows_they_speak_about() -> None:
    found = measure(
        report(
            accepted=60,
            rejected=20,
            duplicate=20,
            completeness={"price": 1.0, "quantity": 0.5, "rating": 0.0},
            unique_items=8,
            unknown_items=2,
            last_timestamp=NOW - timedelta(hours=6),
        )
    )
    assert found.validity == 0.8
    assert found.uniqueness == 0.75
    assert found.completeness_by_column == {"price": 1.0, "quantity": 0.5}  # a rating belongs to one type only
    assert found.completeness == 0.75
    assert found.unknown_item_share == 0.25
    assert found.freshness_hours == 6


def test_without_rows_or_a_catalogue_there_is_no_share() -> None:
    found = measure(report(accepted=0, rejected=0))
    assert (found.validity, found.uniqueness, found.completeness) == (None, None, None)
    assert (found.unknown_item_share, found.freshness_hours, found.warnings) == (None, None, ())


def test_a_shops_clock_that_is_ahead_is_fresh() -> None:
    assert measure(report(last_timestamp=NOW + timedelta(hours=3))).freshness_hours == 0


@pytest.mark.parametrize(
    ("rows", "history", "anomaly"),
    [
        (1, [], False),
        (10_000, [100, 100, 100, 100], False),  # four uploads say nothing yet
        (301, [100] * 5, True),
        (300, [100] * 5, False),
        (34, [100] * 5, False),
        (33, [100] * 5, True),
        (0, [100] * 5, True),
        (200, [1, 10, 40, 90, 160], False),  # sizes that always vary make nothing unusual
        (5000, [1, 10, 40, 90, 160], True),
        (100, [1000] * 10 + [100] * 30, False),  # only the newest thirty say what is usual
        (5, [0] * 5, True),
    ],
)
def test_volume_is_unusual_beyond_a_factor_of_three_and_five_spreads(
    rows: int, history: list[int], anomaly: bool
) -> None:
    assert volume_of(rows, history).anomaly is anomaly


def test_history_is_of_the_kind_and_without_the_upload_itself() -> None:
    others = [*earlier(100, 100, 100, 100, 100, kind=Kind.ITEMS), *earlier(7)]
    volume = upload_quality(report(accepted=14), others, now=NOW).volume
    assert (volume.usual, volume.ratio, volume.anomaly) == (7, 2, False)


def test_each_warning_names_the_figure_and_the_next_step() -> None:
    found = measure(
        report(
            accepted=10,
            rejected=30,
            duplicate=20,
            completeness=dict.fromkeys(("duration_seconds", "quantity", "price", "session_id", "event_id"), 0.1),
            unique_items=4,
            unknown_items=1,
            last_timestamp=NOW - timedelta(days=40),
        ),
        *[1000] * 5,
    )
    text = "\n".join(found.warnings)
    assert len(found.warnings) == 6
    for words in (
        "50.0% of the rows broke a rule",
        "66.7% of the valid rows were there already",
        "Only 10.0% of the optional values",
        "25.0% of the items are not in the catalogue",
        "40 days old",
        "60 rows are far fewer than usual",
        "Check that the interactions export is whole",
    ):
        assert words in text

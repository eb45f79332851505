"""Rows add up, repeats count once, and the real shop gives the figures its data sheet states."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.uploads.contract.columns import Kind, accepted_schema
from resources.uploads.contract.report import UploadReport

HEADER = "user_id,item_id,interaction_type,timestamp,quantity,event_id"
T = "2024-05-01T10:00:00Z"


def counts(report: UploadReport) -> tuple[int, int, int, int]:
    return report.rows_total, report.rows_accepted, report.rows_rejected, report.rows_duplicate


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([f"u,i,view,{T},1,", f"u,i,view,{T},2,"], [2]),
        ([f"u,i,view,{T},,", "u,i,view,2024-05-01T12:00:00+02:00,,"], [2]),
        ([f"u,i,view,{T},,", f"u,i,click,{T},,", f"u,j,view,{T},,", f"v,i,view,{T},,"], [2, 3, 4, 5]),
        ([f"u,i,view,{T},,e", f"v,j,click,{T},,e"], [2]),
        ([f"u,i,view,{T},,e1", f"u,i,view,{T},,e2"], [2]),
        # The second repeats the first's event id and is gone, so the third repeats nothing that was kept.
        ([f"u,i,view,{T},,e1", f"v,i,view,{T},,e1", f"v,i,view,{T},,e2"], [2, 4]),
        # A row that is not valid makes no other a duplicate.
        ([f"u,i,view,{T},-1,e", f"u,i,view,{T},,e"], [3]),
    ],
)
def test_an_interaction_counts_once(inspect: Any, rows: list[str], kept: list[int]) -> None:
    result = inspect("interactions", "\n".join([HEADER, *rows]))
    assert result.accepted["row_number"].to_list() == kept
    assert sum(counts(result.report)[1:]) == len(rows)


def test_the_same_item_twice_is_a_duplicate_and_another_one_under_its_id_is_rejected(inspect: Any) -> None:
    rows = ["1,Lamp,-1", "1,Lamp,5", "2,Chair,7", "1, Lamp ,5.0", "1,Lamp,6", "1,Lantern,5"]
    result = inspect("items", "\n".join(["item_id,title,price", *rows]))
    assert counts(result.report) == (6, 2, 3, 1)
    assert result.accepted["row_number"].to_list() == [3, 4]
    assert result.rejected["rejected_row"].to_list() == [2, 6, 7]
    assert result.rejected["rejected_reason"].to_list()[1] == (
        "item_id repeats the id of line 3 with other values; keep one of the two"
    )
    assert result.report.errors_by_rule == {"price.negative": 1, "item_id.repeated": 2}
    assert [error.row for error in result.report.validation_errors] == [2, 6, 7]
    assert result.report.validation_errors[1].item_id == "1"


def test_statuses(inspect: Any) -> None:
    good, bad = f"u,i,view,{T},,", f",i,view,{T},,"
    assert inspect("interactions", f"{HEADER}\n{good}\n{good}\n").report.status == "success"
    assert inspect("interactions", f"{HEADER}\n{good}\n{bad}\n").report.status == "partial"
    rejected = inspect("interactions", f"{HEADER}\n{bad}\n")
    assert rejected.report.status == "rejected"
    assert rejected.accepted.schema == accepted_schema(Kind.INTERACTIONS)


def test_the_report_lists_the_first_hundred_errors_and_counts_all(inspect: Any) -> None:
    result = inspect("users", "user_id,age\n" + ",1\n" * 250)
    assert [error.row for error in result.report.validation_errors] == list(range(2, 102))
    assert result.report.errors_by_rule == {"user_id.empty": 250}
    assert result.rejected.height == 250


def test_statistics(inspect: Any) -> None:
    rows = [f"u,i,view,{T},,", f"u,j,view,{T},,", "v,k,click,2024-05-02,,", "v,k,view,2026-01-01,,"]
    text = "\n".join([HEADER, *rows])
    found = inspect("interactions", text, catalogue={"i", "x"}).report.statistics
    assert (found.unique_users, found.unique_items, found.unknown_items) == (2, 3, 2)
    assert found.interaction_types == {"view": 2, "click": 1}
    assert found.first_timestamp == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert found.last_timestamp == datetime(2024, 5, 2, tzinfo=UTC)
    assert inspect("interactions", text).report.statistics.unknown_items is None
    assert inspect("interactions", text, catalogue=set()).report.statistics.unknown_items == 3


def test_a_report_that_does_not_add_up_cannot_be_made(inspect: Any) -> None:
    report = inspect("users", "user_id,age\nann,1\n").report
    with pytest.raises(ValueError, match="rows_total must equal"):
        UploadReport.model_validate(report.model_dump() | {"rows_total": 2})


def test_the_real_shop(shared_data: Path, inspect: Any) -> None:
    """Equal lines of a basket that differ in quantity or price are one interaction: the data sheet's 10,308."""
    file = shared_data / "online-retail" / "interactions.csv.gz"
    result = inspect("interactions", file, filename=file.name, max_bytes=10**9)
    assert counts(result.report) == (530_642, 387_616, 132_718, 10_308)
    assert result.report.errors_by_rule["user_id.empty"] == 132_718
    assert result.report.validation_errors[0].row == 1_432
    assert result.report.statistics.interaction_types == {"purchase": 387_616}

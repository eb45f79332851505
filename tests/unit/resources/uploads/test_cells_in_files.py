"""Cells as shops write them, in whole files: what is stored, what is reported, and what all rows together decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from resources.tenants.settings import FileMapping, TenantSettings, UploadSettings
from resources.uploads.checking import inspect as inspection
from resources.uploads.contract.report import UploadReport
from resources.uploads.dialects import header
from resources.uploads.parsing import csv_reader
from tests.unit.resources.uploads.conftest import NOW

T = "2024-05-01T10:00:00Z"
STRICT = TenantSettings(uploads=UploadSettings(strictness="strict"))


def said(report: UploadReport) -> dict[tuple[str, str | None], int]:
    """Codes and columns of the notes and warnings, with their counts."""
    return {(each.code, each.column): each.count for each in (*report.notes, *report.warnings)}


def with_mapping(**fields: Any) -> TenantSettings:
    """A tenant that says how its files of items and interactions are read."""
    mapping = FileMapping(**fields)
    return TenantSettings(uploads=UploadSettings(mappings={"items": mapping, "interactions": mapping}))


FILLING = "x" * 200
"""Makes a file of some hundred rows longer than what is looked at first."""


def test_an_odd_optional_cell_is_empty_and_its_row_stays(inspect: Any) -> None:
    text = "item_id,title,price,available,created_at\n1,A,x,maybe,soon\n2,B,10-20,,31/12/24\n3,C,NULL,t,0000-00-00\n"
    result = inspect("items", text)
    assert result.accepted.select("price", "available", "created_at").rows() == [
        (None, True, None), (None, True, None), (None, True, None),
    ]  # fmt: skip
    assert said(result.report) == {
        ("not_a_number", "price"): 1, ("number_range", "price"): 1, ("empty_word", "price"): 1,
        ("not_a_boolean", "available"): 1, ("boolean_word", "available"): 1,
        ("not_a_time", "created_at"): 1, ("two_digit_year", "created_at"): 1, ("zero_time", "created_at"): 1,
    }  # fmt: skip
    assert next(each for each in result.report.warnings if each.code == "number_range").examples == ("10-20",)
    strict = inspect("items", text, settings=STRICT).report
    assert (strict.rows_accepted, strict.rows_rejected, said(strict)) == (0, 3, {})


def test_a_required_cell_that_cannot_be_read_costs_its_row_with_its_own_reason(inspect: Any) -> None:
    times = ["03/04/2024", "31/12/24", "1.7E+12", "soon", "NULL", "2099-01-01", "2025-06-03", "1970-01-01"]
    rows = "".join(f"u,i{n},view,{time}\n" for n, time in enumerate(times))
    report = inspect("interactions", f"user_id,item_id,interaction_type,timestamp\n{rows}").report
    wanted = ["ambiguous_date", "two_digit_year", "lost_digits", "not_a_time", "empty", "absurd", "in_the_future"]
    assert report.errors_by_rule == {f"timestamp.{rule}": 1 for rule in (*wanted, "before_1990")}
    assert "date_order" in report.validation_errors[0].error
    assert report.warnings == ()


def test_a_row_of_type_rating_needs_a_rating_that_can_be_read(inspect: Any) -> None:
    header = "user_id,item_id,interaction_type,timestamp,rating\n"
    report = inspect("interactions", f'{header}u,i,rating,{T},4/5\nu,j,view,{T},4/5\nu,k,rating,{T},"4,5"\n').report
    assert (report.rows_accepted, report.errors_by_rule) == (2, {"rating.not_a_number": 1})


def test_a_later_row_decides_for_the_whole_file(inspect: Any) -> None:
    header = "item_id,title,price\n"
    rows = "".join(f"{n},{FILLING},1.{n}\n" for n in range(100, 600))
    last = 'last,Item,"19,99"\n'
    read = inspect("items", header + rows + last)
    assert read.accepted["price"].to_list() == [*(float(1000 + n) for n in range(100, 600)), 19.99]
    assert said(read.report) == {("thousands_taken_off", "price"): 500, ("decimal_comma", "price"): 1}
    assert {each.column: each.decimal for each in read.report.reading.columns}["price"] == ","
    doubtful = inspect("items", header + rows)
    assert doubtful.accepted["price"].to_list() == [float(f"1.{n}") for n in range(100, 600)]
    assert said(doubtful.report) == {("point_assumed", "price"): 500}
    proven = inspect("items", f"{header}{rows}last,Item,19.99\n")
    assert said(proven.report) == {}


MONTH_FIRST, DAY_FIRST, EITHER = (
    f"{n},i,view,{time}\n" for n, time in enumerate(("05/31/2024", "31/05/2024", "04/03/2024"))
)


@pytest.mark.parametrize(
    ("before", "after", "times"),
    [
        ("", "", 1),
        ("", MONTH_FIRST, 1),  # nothing depends on it
        (EITHER, "", 1),  # nothing decides
        (MONTH_FIRST + EITHER, "", 2),
        ("", MONTH_FIRST + EITHER, 2),
        (EITHER, MONTH_FIRST, 2),
        (MONTH_FIRST + EITHER, DAY_FIRST, 3),
    ],
)
def test_a_file_is_read_again_only_when_its_cells_decide_otherwise(
    inspect: Any, monkeypatch: pytest.MonkeyPatch, before: str, after: str, times: int
) -> None:
    opened: list[int] = []
    read = inspection.open_table

    def counted(*arguments: Any, **named: Any) -> Any:
        opened.append(1)
        return read(*arguments, **named)

    monkeypatch.setattr(inspection, "open_table", counted)
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 10_000)
    monkeypatch.setattr(header, "_BLOCK_BYTES", 10_000)
    rows = "".join(f"{FILLING},{n},view,2024-05-01\n" for n in range(400))
    inspect("interactions", f"user_id,item_id,interaction_type,timestamp\n{before}{rows}{after}")
    assert len(opened) == times


def test_the_mapping_goes_before_the_cells(inspect: Any) -> None:
    text = 'item_id,title,price,created_at\n1,A,1.299,03/04/2024\n2,B,"1,299",31/12/2024\n'
    accepted = inspect("items", text, settings=with_mapping(decimal=",", date_order="month_first")).accepted
    assert accepted["price"].to_list() == [1299.0, 1.299]
    assert accepted["created_at"].to_list() == [datetime(2024, 3, 4, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC)]


def test_the_currency_is_kept_beside_the_price(inspect: Any) -> None:
    rows = "".join(f"{n},{FILLING},{n}.5\n" for n in range(400))
    result = inspect("items", f"item_id,title,price\n{rows}x,X,19.99 EUR\ny,Y,$5\n")
    assert result.accepted["extra_currency"].to_list() == [None] * 400 + ["EUR", "$"]
    assert said(result.report) == {("currency_taken_off", "price"): 2, ("several_currencies", "price"): 2}
    own = inspect("items", "item_id,title,price,currency\n1,A,5 EUR,euro\n")
    assert own.accepted["extra_currency"].to_list() == ["euro"]
    assert "extra_currency" not in inspect("items", "item_id,title,price\n1,A,5\n").accepted.columns


def test_rows_of_an_ignored_type_are_in_no_other_number(inspect: Any) -> None:
    settings = TenantSettings(interaction_types={"remove_from_cart": "ignore"})
    header = "user_id,item_id,interaction_type,timestamp\n"
    rows = f"u,i,view,{T}\nu,i,Remove from cart,{T}\n,i,remove_from_cart,soon\n,i,view,{T}\n"
    result = inspect("interactions", header + rows, settings=settings)
    report = result.report
    assert (report.rows_total, report.rows_accepted, report.rows_rejected, report.rows_ignored) == (2, 1, 1, 2)
    assert result.rejected["rejected_row"].to_list() == [5]
    assert said(report)["type_ignored", "interaction_type"] == 2
    only = inspect("interactions", f"{header}u,i,remove_from_cart,{T}\n", settings=settings).report
    assert (only.rows_total, only.rows_ignored, only.status) == (0, 1, "success")


def test_unknown_and_mapped_types_are_listed_with_counts(inspect: Any) -> None:
    names = ["cart", "zap", "zap", "Order Completed", "view", "boo"]
    rows = "".join(f"u,i{n},{name},{T}\n" for n, name in enumerate(names))
    report = inspect("interactions", f"user_id,item_id,interaction_type,timestamp\n{rows}").report
    assert report.errors_by_rule == {"interaction_type.unknown": 3}
    (unknown,) = report.warnings
    assert unknown.examples == ("zap (2)", "boo (1)")
    assert "interaction_types.NAME=view" in unknown.message
    (mapped,) = report.notes
    assert mapped.examples == ("cart → add_to_cart (1)", "Order Completed → purchase (1)")


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        ("1717164300", "seconds"), ("1717164300123", "milliseconds"), ("1717164300123456", "microseconds"),
        ("1717164300123456789", "nanoseconds"), ("2024-05-31", None),
    ],
)  # fmt: skip
def test_the_report_names_the_unit_of_times(inspect: Any, time: str, unit: str | None) -> None:
    result = inspect("interactions", f"user_id,item_id,interaction_type,timestamp\nu,i,view,{time}\n")
    assert [each.unit for each in result.report.reading.columns] == [None, None, None, unit]
    assert result.accepted["timestamp"].dt.date().to_list() == [datetime(2024, 5, 31).date()]


def test_the_download_of_rejected_rows_sent_again_says_the_same(inspect: Any) -> None:
    header = "user_id,item_id,interaction_type,timestamp,quantity,price\n"
    rows = f'u,i,view,03/04/2024,"1,5",$5\nu,=1+1,zap,{T},-2,-1\n,i,NULL,soon,(3),"1.299,00"\nu,i,view,,1-,x\n'
    first = inspect("interactions", header + rows)
    assert first.report.rows_accepted == 0
    again = inspect("interactions", first.csv)
    assert again.report.errors_by_rule == first.report.errors_by_rule
    assert again.rejected.drop("rejected_row").equals(first.rejected.drop("rejected_row"))
    assert inspect("interactions", again.csv).csv == again.csv


def test_a_file_that_was_rejected_is_looked_at_again_when_the_mapping_changes(shop: Any) -> None:
    content = "user_id,item_id,interaction_type,timestamp\nu,i,view,03/04/2024\nv,i,view,2024-05-01\n"
    first = shop.put("interactions", content)
    assert (first.rows_accepted, first.rows_rejected) == (1, 1)
    second = shop.put("interactions", content, settings=with_mapping(date_order="day_first"), minutes=1)
    assert (second.rows_accepted, second.rows_rejected, second.rows_duplicate) == (1, 0, 1)
    assert second.reading is not None
    assert second.reading.columns[3].date_order == "day_first"
    assert NOW.year == 2025

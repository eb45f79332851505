"""Parquet of every type: values that have a text are read by it, and a column that is not ours never refuses a file."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from resources.base.errors import UploadRefused
from resources.tenants.settings import TenantSettings, UploadSettings

STRICT = TenantSettings(uploads=UploadSettings(strictness="strict"))


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pl.Series([2**64 - 1], dtype=pl.UInt64), "18446744073709551615"),
        (pl.Series([-5], dtype=pl.Int8), "-5"),
        (pl.Series(["red"], dtype=pl.Categorical), "red"),
        (pl.Series(["red"], dtype=pl.Enum(["red", "blue"])), "red"),
        (pl.Series([Decimal("19.90")]), "19.90"),
        (pl.Series([b"K-1"]), "K-1"),
        (pl.Series([True]), "true"),
        (pl.Series([None], dtype=pl.Null), None),
        (pl.Series([date(2024, 5, 31)]), "2024-05-31"),
        (pl.Series([time(14, 5)]), "14:05:00"),
        (pl.Series([timedelta(seconds=90)]), "90.0"),
        (pl.Series([["a", "b"]]), "a|b"),
        (pl.Series([[1, 2]]), "1|2"),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)), "1|2"),
        (pl.Series([datetime(2024, 5, 31, 14, 5, tzinfo=UTC)], dtype=pl.Datetime("ns", "Europe/Berlin")),
         "2024-05-31T14:05:00.000000Z"),
        (pl.Series([datetime(2024, 5, 31, 14, 5)], dtype=pl.Datetime("ms")), "2024-05-31T14:05:00.000000Z"),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, pl.Series) else None,
)  # fmt: skip
def test_a_value_is_its_text(inspect: Any, values: pl.Series, text: str | None) -> None:
    result = inspect("items", parquet(item_id=["1"], title=["A"], mine=values), filename="items.parquet")
    assert result.accepted["extra_mine"].to_list() == [text]
    assert not result.report.warnings
    assert result.report.reading.format == "parquet"


@pytest.mark.parametrize("ids", [pl.Series([b"1", None]), pl.Series(["1", None], dtype=pl.Categorical)])
def test_ids_of_other_types_are_text(inspect: Any, ids: pl.Series) -> None:
    result = inspect("items", parquet(item_id=ids, title=["A", "B"]), filename="items.parquet")
    assert (result.accepted["item_id"].to_list(), result.report.errors_by_rule) == (["1"], {"item_id.empty": 1})


@pytest.mark.parametrize("values", [[{"a": 1}], [[{"a": 1}]], [[[1]]], [b"\xff"]], ids=str)
def test_a_column_without_text_is_left_out_unless_it_is_ours(inspect: Any, values: Any) -> None:
    result = inspect("items", parquet(item_id=["1"], title=["A"], mine=values), filename="items.parquet")
    assert result.report.rows_accepted == 1
    (note,) = result.report.notes
    assert (note.code, note.examples) == ("nested_columns", ("mine",))
    with pytest.raises(UploadRefused, match="brand"):
        inspect("items", parquet(item_id=["1"], title=["A"], brand=values), filename="items.parquet")
    with pytest.raises(UploadRefused, match="mine"):
        inspect("items", parquet(item_id=["1"], title=["A"], mine=values), filename="items.parquet", settings=STRICT)


def test_rows_of_nothing_and_an_index_are_passed_over(inspect: Any) -> None:
    content = parquet(item_id=["1", None, "2"], title=["A", None, "B"], __index_level_0__=[None, None, None])
    result = inspect("items", content, filename="items.parquet")
    assert result.accepted["row_number"].to_list() == [2, 4]
    assert {note.code: note.count for note in result.report.notes} == {"blank_rows": 1, "unnamed_columns": 1}

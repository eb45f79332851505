"""Every rule of the data contract, on the smallest file that breaks it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from resources.tenants.settings import TenantSettings, UploadSettings
from resources.uploads.contract.columns import Kind, columns
from tests.contract_table import rule_table

HEADER = "user_id,item_id,interaction_type,timestamp,rating,price,event_id"
T = "2024-05-01T10:00:00Z"
STRICT = TenantSettings(uploads=UploadSettings(strictness="strict"))
"""To the letter of the contract."""


@pytest.mark.parametrize(
    ("row", "rules"),
    [
        (f"u,i,view,{T},,,", []),
        (f"Zoë 🛒,商品-1,purchase,{T},,0,e1", []),
        (f",i,view,{T},,,", ["user_id.empty"]),
        (f"  ,\u00a0,view,{T},,,", ["user_id.empty", "item_id.empty"]),
        (f"{'u' * 257},i,view,{T},,,", ["user_id.too_long"]),
        (f"{'ü' * 128},i,view,{T},,,", []),
        (f"{'ü' * 129},i,view,{T},,,", ["user_id.too_long"]),
        (f"u\x07x,i,view,{T},,,", ["user_id.control_character"]),
        (f"u,i,view,{T},,,e\x7f", ["event_id.control_character"]),
        (f"u,i,looked,{T},,,", ["interaction_type.unknown"]),
        (f"u,i,,{T},,,", ["interaction_type.empty"]),
        ("u,i,view,,,,", ["timestamp.empty"]),
        ("u,i,view,soon,,,", ["timestamp.not_a_time"]),
        ("u,i,view,2024-02-30T00:00:00Z,,,", ["timestamp.not_a_time"]),
        ("u,i,view,1989-12-31T23:59:59Z,,,", ["timestamp.before_1990"]),
        ("u,i,view,1990-01-01T00:00:00Z,,,", []),
        ("u,i,view,2025-06-02T12:00:00Z,,,", []),
        ("u,i,view,2025-06-02T12:00:01Z,,,", ["timestamp.in_the_future"]),
        (f"u,i,rating,{T},,,", ["rating.missing"]),
        (f"u,i,rating,{T},10,,", []),
        (f"u,i,rating,{T},10.1,,", ["rating.out_of_range"]),
        (f"u,i,rating,{T},-1,,", ["rating.out_of_range"]),
        (f"u,i,rating,{T},five,,", ["rating.not_a_number"]),
        (f"u,i,view,{T},,-0.01,", ["price.negative"]),
        (f"u,i,view,{T},,nan,", ["price.not_a_number"]),
        (f"u,i,view,{T},,inf,", ["price.not_a_number"]),
        (f"u,i,view,{T},,9 €,", ["price.not_a_number"]),
        (
            ",i,looked,soon,11,-1,",
            [
                *("user_id.empty", "interaction_type.unknown", "timestamp.not_a_time"),
                *("rating.out_of_range", "price.negative"),
            ],
        ),
    ],
)  # fmt: skip
def test_a_row_is_rejected_for_every_reason_that_is_true_and_no_other(inspect: Any, row: str, rules: list[str]) -> None:
    good = f"good,i,view,{T},,,"
    result = inspect("interactions", f"{HEADER}\n{row}\n{good}\n", settings=STRICT)
    assert result.report.errors_by_rule == dict.fromkeys(rules, 1)
    assert result.report.rows_accepted == (1 if rules else 2)
    assert [
        f"{e.column}.{rule.split('.')[1]}" for e, rule in zip(result.report.validation_errors, rules, strict=True)
    ] == rules
    assert result.rejected["rejected_row"].to_list() == ([2] if rules else [])


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-05-31T14:05:06Z", datetime(2024, 5, 31, 14, 5, 6)),
        ("2024-05-31T14:05:06", datetime(2024, 5, 31, 14, 5, 6)),
        ("2024-05-31 14:05:06.25", datetime(2024, 5, 31, 14, 5, 6, 250_000)),
        ("2024-05-31T14:05:06.123456789Z", datetime(2024, 5, 31, 14, 5, 6, 123_456)),
        ("2024-05-31T14:05:06+02:00", datetime(2024, 5, 31, 12, 5, 6)),
        ("2024-05-31T14:05:06-0330", datetime(2024, 5, 31, 17, 35, 6)),
        ("2024-05-31T14:05+05", datetime(2024, 5, 31, 9, 5)),
        ("2024-05-31", datetime(2024, 5, 31)),
        ("2024-05-31 14:05:06 UTC", datetime(2024, 5, 31, 14, 5, 6)),
        ("1717164306", datetime(2024, 5, 31, 14, 5, 6)),
        ("1717164306.5", datetime(2024, 5, 31, 14, 5, 6, 500_000)),
        ("1717164306250", datetime(2024, 5, 31, 14, 5, 6, 250_000)),
        ("2024-05-31T25:00:00Z", None),
        ("31/05/2024", None),
        ("20240531", None),
        ("1717164306250000", None),
        ("-1717164306", None),
        ("2024-05-31T14:05:06+19:00", None),
    ],
)
def test_times_are_read_as_utc(inspect: Any, text: str, utc: datetime | None) -> None:
    result = inspect("interactions", f"user_id,item_id,interaction_type,timestamp\nu,i,view,{text}\n", settings=STRICT)
    expected = [] if utc is None else [utc.replace(tzinfo=UTC)]
    assert result.accepted["timestamp"].to_list() == expected


def test_times_of_all_forms_mix_in_one_column(inspect: Any) -> None:
    texts = ["2024-05-31T14:05:06Z", "never", "1717164306", "2024-05-31T16:05:06+02:00", "1717164306000"]
    rows = "".join(f"u{n},i,view,{text}\n" for n, text in enumerate(texts))
    result = inspect("interactions", f"user_id,item_id,interaction_type,timestamp\n{rows}")
    assert result.accepted["user_id"].to_list() == ["u0", "u2", "u3", "u4"]
    assert result.accepted["timestamp"].n_unique() == 1


def test_the_shops_own_words_and_rating_range_count(inspect: Any) -> None:
    settings = TenantSettings(
        interaction_types={"Order Placed": "purchase", "stars": "rating"}, rating_min=1, rating_max=5
    )
    rows = f"u,i,order placed,{T},\nu,i,PURCHASE,2024-05-02,\nu,i,stars,{T},6\nu,i,stars,{T},\nu,i,looked,{T},\n"
    text = f"user_id,item_id,interaction_type,timestamp,rating\n{rows}"
    result = inspect("interactions", text, settings=settings)
    assert result.accepted["interaction_type"].to_list() == ["purchase", "purchase"]
    assert [(e.row, e.error) for e in result.report.validation_errors[:2]] == [
        (4, "is outside 1 to 5"),
        (5, "is empty, and a row of type rating needs it"),
    ]
    assert "order placed" in result.report.validation_errors[2].error


def test_a_rating_row_in_a_file_without_ratings_is_rejected(inspect: Any) -> None:
    result = inspect("interactions", f"user_id,item_id,interaction_type,timestamp\nu,i,rating,{T}\n")
    assert result.report.errors_by_rule == {"rating.missing": 1}


def test_items(inspect: Any) -> None:
    text = (
        "item_id,name,price,available,created_at,Colour\n1,Lamp,,,,red\n2,Chair,3,NO,2019-01-01,\n3, ,x,maybe,later,\n"
    )
    result = inspect("items", text, settings=STRICT)
    assert result.accepted.select("item_id", "title", "price", "available", "extra_colour").rows() == [
        ("1", "Lamp", None, True, "red"),
        ("2", "Chair", 3.0, False, None),
    ]
    assert set(result.report.errors_by_rule) == {
        "title.empty", "price.not_a_number", "available.not_a_boolean", "created_at.not_a_time",
    }  # fmt: skip
    assert result.report.validation_errors[0].item_id == "3"
    assert result.report.validation_errors[0].user_id is None


def test_name_is_an_extra_column_beside_title(inspect: Any) -> None:
    result = inspect("items", "item_id,name,title\n1,short,Long title\n")
    assert result.accepted.select("title", "extra_name").row(0) == ("Long title", "short")


def test_users_keep_every_other_column(inspect: Any) -> None:
    result = inspect("users", "user_id,Age,\nann,41,x\n,17,\n")
    assert result.accepted.columns == ["user_id", "deleted", "extra_age", "extra_column_3", "upload_id", "row_number"]
    assert result.report.validation_errors[0].row == 3
    assert inspect("users", "user_id\nann\n\nbob\n").accepted["row_number"].to_list() == [2, 4]


def test_the_environment_cannot_switch_the_rules_off(inspect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pandera.config.CONFIG.validation_enabled", False)
    assert inspect("users", "user_id,age\n,3\n").report.rows_rejected == 1


@pytest.mark.parametrize("kind", list(Kind))
def test_the_rule_table_names_every_column(kind: Kind) -> None:
    table = rule_table(kind)
    assert [line.split("`")[1] for line in table.splitlines()[2:]] == [column.name for column in columns(kind)]


@pytest.mark.parametrize("text", ["0000-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_python_cannot_hold_is_none(inspect: Any, text: str) -> None:
    result = inspect("items", f"item_id,title,created_at\ni1,Lamp,{text}\n", settings=STRICT)
    assert result.report.errors_by_rule == {"created_at.not_a_time": 1}

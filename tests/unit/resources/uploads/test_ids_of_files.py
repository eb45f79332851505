"""Ids in files: a column of them gives what each gives alone, where the column agrees."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.base.ids import has_lost_digits, nobody_words, normalise_id, shape_problem
from resources.storage.lake import read_json, write_json, write_parquet
from resources.uploads.contract.columns import Kind, columns
from resources.uploads.normalising.decisions import ColumnDecision, decide_columns
from resources.uploads.normalising.evidence import Evidence
from resources.uploads.normalising.ids import each_in_one_form, in_one_form, is_id, read_ids
from resources.uploads.store import scan_accepted

USER_ID, SESSION_ID = (next(c for c in columns(Kind.INTERACTIONS) if c.name == n) for n in ("user_id", "session_id"))
CELLS = st.lists(
    st.one_of(
        st.none(),
        st.sampled_from(
            ["17850.0", '="00017"', "'0017", "4.0E+12", "NULL", "(not set)", "", " ", "cafe\u0301", "a\0", "x\x85"]
        ),
        st.text(st.sampled_from("a1'=\"0. \u00a0\u200b\ufeff\u200d\u00ade\u0301é-E+\x1c\n"), max_size=8),
        st.text(max_size=8),
    ),
    max_size=8,
)


@settings(deadline=None)  # the first example of a process compiles
@given(CELLS, st.booleans(), st.booleans())
def test_a_column_gives_what_each_cell_gives(cells: list[str | None], unwrap: bool, whole: bool) -> None:
    decision = ColumnDecision(unwrap_formulas=unwrap, whole_floats=whole)
    read = read_ids(pl.Series("user_id", cells, dtype=pl.String), USER_ID, decision, frozenset())
    alone = [None if cell is None else normalise_id(cell, unwrap=unwrap, whole_floats=whole) or None for cell in cells]
    assert read.text.to_list() == alone
    assert read.values.to_list() == [each if each and not problem_of(each) else None for each in alone]
    problems = [None] * len(cells) if read.problems is None else read.problems.to_list()
    assert problems == [each and problem_of(each) for each in alone]


def problem_of(text: str) -> str | None:
    if text in nobody_words():
        return "placeholder"
    if has_lost_digits(text):
        return "lost_digits"
    return "control_character" if "control" in (shape_problem(text) or "") else None


@settings(deadline=None)
@given(CELLS)
def test_old_rows_are_read_as_new_ones(cells: list[str | None]) -> None:
    rows = pl.DataFrame({"user_id": cells}, schema={"user_id": pl.String}).lazy()
    each = each_in_one_form(rows, ["user_id"]).collect()["user_id"].to_list()
    assert each == [cell and (normalise_id(cell) or cell) for cell in cells]


@pytest.mark.parametrize(
    ("cells", "now"),
    [
        (["17850.0", "17851", None], ["17850", "17851", None]),
        (["1.0", "1.1"], ["1.0", "1.1"]),
        (["cafe\u0301", "b"], ["café", "b"]),
        (["a", "b"], ["a", "b"]),
    ],
)
def test_a_column_of_an_older_version_decides_as_in_a_file(cells: list[str | None], now: list[str | None]) -> None:
    rows = pl.DataFrame({"user_id": cells}).lazy()
    assert in_one_form(rows, ["user_id"]).collect()["user_id"].to_list() == now


@pytest.mark.parametrize(
    ("cells", "decision"),
    [
        (["17850.0", "17850", "NaN", None, ""], (False, True)),
        (['="00017"', '="00018"', "17"], (True, False)),
        (["'00017", '="A-1"', "1.0"], (True, True)),
        (["17850.0", "85123A"], (False, False)),
        (["1.0", "1.1"], (False, False)),
        (["1.0", "1e+16"], (False, True)),
        (["a", "b"], (False, False)),
    ],
)
def test_a_column_decides_when_all_of_it_agrees(cells: list[str | None], decision: tuple[bool, bool]) -> None:
    read = read_ids(pl.Series("user_id", cells, dtype=pl.String), USER_ID, ColumnDecision(), frozenset())
    decided = decide_columns(Evidence({"user_id": read.signs})).of("user_id")
    assert (decided.unwrap_formulas, decided.whole_floats) == decision


@pytest.mark.parametrize("cells", [['="0f"', '="0a"'], ["17.0", "18.0"], ["a", "cafe\u0301"]])
def test_the_evidence_does_not_depend_on_the_decision(cells: list[str]) -> None:
    text = pl.Series("user_id", cells)
    both = ColumnDecision(unwrap_formulas=True, whole_floats=True)
    seen = [read_ids(text, USER_ID, decision, frozenset()).signs for decision in (ColumnDecision(), both)]
    assert seen[0] == seen[1]
    assert text.to_list() == cells


def test_words_for_nobody_are_empty_where_an_id_may_be_missing() -> None:
    read = read_ids(pl.Series(["s1", "undefined", "NULL", None]), SESSION_ID, ColumnDecision(), frozenset({"s1"}))
    assert read.values.to_list() == ["s1", None, None, None]
    assert [(f.code, f.count, f.examples) for f in read.findings] == [("id_emptied", 2, ("undefined", "NULL"))]


@pytest.mark.parametrize(
    ("text", "stored"),
    [("17", ["17.0", '="17"', "'17", " 17\u00a0", "1\u200b7"]), ("café", ["cafe\u0301", "café "])],
)
def test_a_stored_form_is_found_by_its_id(text: str, stored: list[str]) -> None:
    others = ["0017", "170", "x17", "Café", "cafe", None]
    found = pl.DataFrame({"id": [*stored, *others]}).filter(is_id(pl.col("id"), text))
    assert found["id"].to_list() == stored


def test_a_report_says_what_was_done_with_ids(inspect: Any) -> None:
    rows = [f"u{n}\u200b,i,view,2024-05-31T14:05:00Z,e{n}" for n in range(3)]
    report = inspect("interactions", "\n".join(["user_id,item_id,interaction_type,timestamp,event_id", *rows])).report
    assert [(note.code, note.column, note.count) for note in report.notes] == [("id_cleaned", "user_id", 3)]
    mixed = inspect("items", "item_id,title\n1.0,A\n1.1,B\n").report
    assert [(each.code, each.count, each.examples) for each in mixed.warnings] == [("id_form_kept", 1, ("1.0",))]


def people(ids: list[str]) -> str:
    times = (f"2024-05-31T{n // 60:02}:{n % 60:02}:00Z" for n in range(len(ids)))
    rows = [f"{user},i{n},view,{time}" for n, (user, time) in enumerate(zip(ids, times, strict=True))]
    return "\n".join(["user_id,item_id,interaction_type,timestamp", *rows])


@pytest.mark.parametrize(
    ("ids", "codes"),
    [
        (["everybody"] * 30 + [f"u{n}" for n in range(70)], {"id_dominant": ("everybody",)}),
        (["guest"] * 2 + [f"u{n}" for n in range(98)], {"id_doubtful": ("guest",)}),
        (["NA"] * 2 + [f"u{n}" for n in range(98)], {"id_doubtful": ("NA",)}),
        (["0"] * 1 + [str(n + 1) for n in range(299)], {}),
        (["u1"] * 20 + ["u2"] * 3 + [f"v{n}" for n in range(77)], {}),
        (["ann"] * 8 + ["bob"], {}),
        ([f"u{n}@example.org" for n in range(5)], {"id_email": ()}),
    ],
)
def test_an_id_that_may_stand_for_everybody_is_told(inspect: Any, ids: list[str], codes: dict[str, Any]) -> None:
    report = inspect("interactions", people(ids)).report
    assert {each.code: each.examples for each in report.warnings if each.column == "user_id"} == codes


def test_personal_columns_are_told_by_name(inspect: Any) -> None:
    report = inspect("users", "user_id,E-Mail,First Name,plan\nu1,a@example.org,Ann,gold\n").report
    assert [(each.code, each.examples) for each in report.notes] == [("personal_columns", ("E-Mail", "First Name"))]


def test_ids_that_an_earlier_version_stored_are_read_in_one_form(shop: Any) -> None:
    """What was stored before is one user with what comes now, in the raw tables, the catalogue and the readiness."""
    report = shop.put("interactions", people(["u1", "u1", "u1"]))
    folder = shop.lake.tenant(shop.tenant).upload(report.upload_id)
    (part,) = shop.lake.tenant(shop.tenant).accepted(report.upload_id).iterdir()
    old = pl.read_parquet(part).with_columns(user_id=pl.Series(["cafe\u0301", "u\u200b1", "17"]))
    write_parquet(part, old)
    write_json(folder / "report.json", {**read_json(folder / "report.json"), "rules_fingerprint": "0123456789abcdef"})
    rows = scan_accepted(shop.lake, shop.tenant, report.upload_id).collect()
    assert rows["user_id"].to_list() == ["café", "u1", "17"]


def test_items_that_the_catalogue_has_under_another_form_are_told(shop: Any) -> None:
    shop.put("items", "item_id,title\nSKU-1,Lamp\n0017,Mug\nok,Rug\n")
    rows = [f"u,{item},view,2024-05-31T14:05:00Z" for item in ("sku-1", "17", "ok", "elsewhere")]
    report = shop.put("interactions", "\n".join(["user_id,item_id,interaction_type,timestamp", *rows]), minutes=1)
    (told,) = [each for each in report.warnings if each.code == "ids_unmatched"]
    assert (told.column, told.count, told.examples) == ("item_id", 2, ("17 for 0017", "sku-1 for SKU-1"))

"""The rejected-rows download: safe in a spreadsheet, and good to send again."""

from __future__ import annotations

import csv
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        ("-1", "-1"),
        ("+49.5", "+49.5"),
        ("it's", "it's"),
        ("a,b\nc", "a,b\nc"),
    ],
)  # fmt: skip
def test_a_cell_is_never_run_and_comes_back_unchanged(inspect: Any, cell: str, shown: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    first = inspect("users", f"user_id,note\n,{quoted}\n")
    text = first.csv.decode("utf-8-sig")
    header, row = list(csv.reader(text.splitlines(keepends=True)))
    assert header == ["rejected_row", "rejected_reason", "user_id", "note"]
    assert row == ["2", "user_id is empty", "", shown]
    mended = inspect("users", text.replace(",,", ",ann,"))
    assert mended.report.rows_accepted == 1
    assert mended.accepted["extra_note"].to_list() == [cell.strip()]
    assert "extra_rejected_row" not in mended.accepted.columns


def test_the_headers_are_those_of_the_file_and_are_safe(inspect: Any) -> None:
    text = inspect("items", "Item_ID, Name ,=cmd()\n,x,\n").csv.decode("utf-8-sig")
    assert text.splitlines()[0] == "rejected_row,rejected_reason,Item_ID,Name,'=cmd()"


def test_nothing_rejected_is_a_header(inspect: Any) -> None:
    assert inspect("users", "user_id,a\nu,1\n").csv.decode("utf-8-sig") == ("rejected_row,rejected_reason,user_id,a\n")

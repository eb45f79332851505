"""Nasty files: each is refused with one clear error, or read with the right lines."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from resources.base.errors import TooLarge, UploadRefused
from resources.uploads.parsing import csv_reader, parquet_table

HEADER = "user_id,item_id,interaction_type,timestamp"
ALL_EMPTY = tuple(f"{column}.empty" for column in HEADER.split(","))
ROW = "u1,i1,view,2024-05-01T10:00:00Z"
OTHER = "u2,i1,view,2024-05-01T10:00:00Z"
GOOD = f"{HEADER}\n{ROW}\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason", "says"),
    [
        (b"", "empty_file", "empty"),
        (b"\n \r\n\n", "empty_file", "no text"),
        (b"\xef\xbb\xbf", "empty_file", "no text"),
        (HEADER, "empty_file", "no rows"),
        (HEADER + "\n\n\n", "empty_file", "no rows"),
        (GOOD.encode("utf-32"), "not_utf8", "UTF-32"),
        (PNG, "not_csv", "PNG"),
        (f"{HEADER}\nu{chr(0) * 20},i,view,2024-05-01\n", "not_csv", "NUL"),
        (f"{HEADER},{','.join(f'c{n}' for n in range(10_000))}\n{ROW}\n", "too_many_columns", "10,004 columns"),
        (f"{GOOD}Jürgen,i1,view,2024-05-01\n".encode("latin-1") + b"\x81", "not_utf8", "line 3"),
        (f"{GOOD}Jürgen,i1,view,2024-05-01\n".encode() + b"\xe9\n", "not_utf8", "line 4"),
        (f"{HEADER}\nu1;i1;view;2024-05-01\n", "not_csv", "a semicolon between the cells"),
        ("user_id;item_id;timestamp\nü;i;1\n".encode("cp1252") + b"\x81", "not_utf8", "interaction_type"),
        (b"PK\x03\x04rest", "not_csv", "Excel"),
        (b"%PDF-1.7", "not_csv", "PDF"),
        (b"<!DOCTYPE html><html>", "not_csv", "web page"),
        (b'[{"user_id": 1}]', "not_csv", "JSON"),
        ("1,2,3,4\n1,2,3,5\n", "no_header", "user_id, item_id, interaction_type, timestamp"),
        ("user_id,item_id,timestamp\na,b,1\n", "missing_column", "interaction_type. Found: user_id, item_id"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-6], "corrupt_gzip", "damaged"),
        (gzip.compress(GOOD.encode(), mtime=0)[:12] + b"garbage", "corrupt_gzip", "damaged"),
        (gzip.compress(PNG, mtime=0), "not_csv", "PNG"),
        (b"PAR1 not really PAR1", "not_parquet", "Parquet"),
        (parquet(pl.DataFrame({"a": ["x"]}))[:-20], "not_parquet", "Parquet"),
        (parquet(pl.DataFrame()), "no_header", "0 columns"),
        (parquet(pl.DataFrame(schema=dict.fromkeys(HEADER.split(","), pl.String))), "empty_file", "no rows"),
        (b"BZh91AY&SY", "not_csv", "bzip2"),
        (b"SQLite format 3\0", "not_csv", "SQLite"),
        (f'"{HEADER}\n{ROW}\n', "no_header", "first line is not a header"),
    ],
)  # fmt: skip
def test_a_hopeless_file_is_refused_whole(inspect: Any, content: str | bytes, reason: str, says: str) -> None:
    with pytest.raises(UploadRefused) as refusal:
        inspect("interactions", content)
    assert refusal.value.reason == reason
    assert says in refusal.value.message
    assert "interactions.csv" in refusal.value.message


@pytest.mark.parametrize(("filename", "reason"), [("a.parquet", "not_parquet"), ("a.csv.gz", None), ("a.xlsx", None)])
def test_a_name_that_lies_is_refused_only_when_it_must_be(inspect: Any, filename: str, reason: str | None) -> None:
    if reason is None:
        assert inspect("interactions", GOOD, filename=filename).report.rows_accepted == 1
        return
    with pytest.raises(UploadRefused) as refusal:
        inspect("interactions", GOOD, filename=filename)
    assert refusal.value.reason == reason


def test_the_size_limit_holds_for_the_file_and_for_what_is_in_it(inspect: Any) -> None:
    bomb = gzip.compress(GOOD.encode() + ROW.encode() * 100_000, mtime=0)
    assert len(bomb) < 50_000
    with pytest.raises(TooLarge, match=r"50,000 bytes, compressed or not"):
        inspect("interactions", bomb, max_bytes=50_000)
    with pytest.raises(TooLarge):
        inspect("interactions", GOOD, max_bytes=20)
    assert inspect("interactions", GOOD, max_bytes=len(GOOD)).report.rows_accepted == 1


@pytest.mark.parametrize(
    ("content", "figures", "by_rule"),
    [
        (f"{HEADER}\n{ROW}", (1, 0, 0), {}),
        (f"{HEADER}\n\n{ROW}\n   \n{ROW}\n", (1, 0, 1), {}),
        (f"{HEADER}\n{ROW}\n{OTHER},x\nu3\n", (1, 2, 0), {"row.wrong_field_count": 2}),
        (f"{HEADER}\n{ROW}\n{OTHER},\n", (2, 0, 0), {}),
        (f"{HEADER}\n{ROW}\r{OTHER}\r\n{ROW}\n", (2, 0, 1), {}),
        (f'{HEADER}\n"u\n1",i1,view,2024-05-01\n', (0, 1, 0), {"user_id.control_character": 1}),
        (f"{HEADER},note\n{ROW},=cmd()\n,i1,view,2024-05-01,@SUM(A1)\n", (1, 1, 0), {"user_id.empty": 1}),
        (f"{HEADER},note\n{ROW},{'x' * 1_000_001}\n", (0, 1, 0), {"extra_note.too_long": 1}),
        (f"{HEADER}\nu;1,i1;view,view,2024-05-01\n", (1, 0, 0), {}),
        (f"{HEADER}\n{ROW}\n".replace("u1", "\u202eu1\u200b"), (1, 0, 0), {}),
        (f'{HEADER}\n"",,,\n,,,\n , ,,\n{ROW}\n', (1, 0, 0), {}),
        (f"{HEADER},note\n,,,,x\n{ROW},\n", (1, 1, 0), dict.fromkeys(ALL_EMPTY, 1)),
    ],
)  # fmt: skip
def test_a_nasty_file_that_can_be_read_has_its_exact_report(
    inspect: Any, content: str, figures: tuple[int, int, int], by_rule: dict[str, int]
) -> None:
    report = inspect("interactions", content).report
    assert (report.rows_accepted, report.rows_rejected, report.rows_duplicate) == figures
    assert report.rows_total == sum(figures)
    assert report.errors_by_rule == by_rule
    assert report.status == ("success" if not figures[1] else "partial" if figures[0] else "rejected")


@pytest.mark.parametrize(
    ("late", "reason", "says"),
    [
        (b"u" + b"\0" * 20 + b",i,view,2024-05-01\n", "not_csv", "NUL"),
        (b"J\x81rgen,i,view,2024-05-01\n", "not_utf8", "line 302"),
    ],
)
def test_what_makes_a_file_unreadable_is_found_far_behind_its_start(
    inspect: Any, monkeypatch: pytest.MonkeyPatch, late: bytes, reason: str, says: str
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 500)
    with pytest.raises(UploadRefused, match=says) as refusal:
        inspect("interactions", f"{HEADER}\n".encode() + f"{ROW}\n".encode() * 300 + late)
    assert refusal.value.reason == reason


def test_parquet_is_read_in_pieces(inspect: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parquet_table, "_FIRST_PARQUET_ROWS", 7)
    monkeypatch.setattr(parquet_table, "_PARQUET_ROWS", 11)
    frame = pl.DataFrame({"item_id": [f"i{n}" for n in range(100)], "title": ["x" * (n % 9) for n in range(100)]})
    file = tmp_path / "items.parquet"
    frame.write_parquet(file, row_group_size=10)
    result = inspect("items", file, filename="items.parquet")
    assert result.rejected["rejected_row"].to_list() == list(range(2, 102, 9))
    assert (result.accepted.height, result.accepted["row_number"][-1]) == (88, 100)
    with pytest.raises(TooLarge):
        inspect("items", file, filename="items.parquet", max_bytes=file.stat().st_size - 1)


def test_one_long_text_many_times_over_is_over_the_limit(inspect: Any) -> None:
    frame = pl.DataFrame({"item_id": [str(n) for n in range(1_000)], "title": ["x" * 100_000] * 1_000})
    content = parquet(frame)
    assert len(content) < 1_000_000
    with pytest.raises(TooLarge, match="bytes of text"):
        inspect("items", content, filename="items.parquet")


def test_a_parquet_file_of_endless_repeats_is_over_the_limit(inspect: Any) -> None:
    row = dict(zip(HEADER.split(","), ROW.split(","), strict=True))
    frame = pl.DataFrame([row]).select(pl.all().repeat_by(200_000).explode())
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    with pytest.raises(TooLarge):
        inspect("interactions", buffer.getvalue(), max_bytes=100_000)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + f"{HEADER}\n{ROW}\n{OTHER}".encode(),
        f"{HEADER}\r\n{ROW}\r\n{OTHER}\r\n",
        f"{HEADER}\r{ROW}\r{OTHER}\r",
        f" User_ID ,ITEM_ID,Interaction_Type,timestamp\n{ROW}\n{OTHER}\n",
        f"{HEADER}\n{ROW}\n{OTHER}\n".replace(",", "\t"),
        f'"user_id","item_id",interaction_type,timestamp\n"u1","i1","view","2024-05-01T10:00:00Z"\n{OTHER}\n',
        gzip.compress(f"{HEADER}\n{ROW}\n{OTHER}\n".encode(), mtime=0),
        gzip.compress(f"{HEADER}\n{ROW}\n".encode(), mtime=0) + gzip.compress(OTHER.encode(), mtime=0),
        f"{HEADER}\n u1 ,\ti1, View ,2024-05-01T10:00:00Z \n{OTHER}\n",
    ],
)
def test_every_readable_spelling_of_a_file_says_the_same(inspect: Any, content: str | bytes) -> None:
    accepted = inspect("interactions", content).accepted
    assert accepted.select("user_id", "item_id", "interaction_type", "row_number").rows() == [
        ("u1", "i1", "view", 2),
        ("u2", "i1", "view", 3),
    ]


def test_a_stray_row_end_does_not_move_later_lines(inspect: Any) -> None:
    result = inspect("items", "item_id,title\n\ni1,A\n   \ni2,B,too many\ni3\n\ni4,D\n")
    assert result.accepted["row_number"].to_list() == [3, 8]
    assert result.rejected["rejected_row"].to_list() == [5, 6]
    assert result.rejected["rejected_reason"].to_list() == [
        "the row has 3 fields and the header has 2",
        "the row has 1 fields and the header has 2",
    ]
    assert result.report.errors_by_rule == {"row.wrong_field_count": 2}
    assert result.report.validation_errors[0].value == "i2,B,too many"


def test_a_quoted_line_break_counts_as_a_line(inspect: Any) -> None:
    result = inspect("items", 'item_id,title,price\ni1,"Lamp\nwith ""shade""\r\n",1\ni2,Chair,-1\ni3,"a,b",2\n')
    assert result.accepted["title"].to_list() == ['Lamp\nwith "shade"', "a,b"]
    assert result.accepted["row_number"].to_list() == [2, 6]
    assert result.report.validation_errors[0].row == 5


def test_a_quote_that_is_never_closed_is_found(inspect: Any) -> None:
    result = inspect("items", 'item_id,title\ni1,A\ni2,"B\ni3,C\ni4,D\n')
    assert result.report.errors_by_rule == {"row.open_quote": 1}
    assert result.rejected["rejected_reason"].to_list() == [
        "a quote is opened and never closed, so the row runs to line 5, the last"
    ]
    result = inspect("items", 'item_id,title,price\ni1,A,1\ni2,"B,2\ni3,C,3\n')
    assert result.rejected["rejected_reason"].to_list() == [
        "a quote is opened and never closed, so the row runs to line 4, the last"
    ]


def test_an_inch_mark_is_not_a_quote(inspect: Any) -> None:
    result = inspect("items", 'item_id,title\ni1,5" pipe\ni2,3" x 4" board\ni3,"6"" pipe"\n')
    assert result.accepted["title"].to_list() == ['5" pipe', '3" x 4" board', '6" pipe']
    assert result.accepted["row_number"].to_list() == [2, 3, 4]


def test_an_enormous_cell_costs_only_its_row(inspect: Any) -> None:
    result = inspect("items", f"item_id,title,colour\ni1,{'x' * 10_000_000},\ni2,Lamp,{'y' * 2_000_000}\ni3,Lamp,red\n")
    assert result.accepted["item_id"].to_list() == ["i3"]
    assert result.report.errors_by_rule == {"title.too_long": 1, "extra_colour.too_long": 1}
    assert [len(error.value or "") for error in result.report.validation_errors] == [100, 100]


def test_blocks_join_where_they_were_cut(inspect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 64)
    rows = [f"i{n},{'Ü' * (n % 7)}x{',y' if n % 13 == 0 else ''}" for n in range(300)]
    rows[200] = 'i200,"two\nlines"'
    result = inspect("items", "item_id,title\n" + "\n".join(rows))
    assert result.report.rows_total == 300
    assert result.rejected["rejected_row"].to_list() == [n + 2 + (n > 200) for n in range(0, 300, 13)]
    lines = dict(result.accepted.select("item_id", "row_number").iter_rows())
    assert lines["i1"] == 3
    assert lines["i200"] == 202
    assert lines["i201"] == 204


def test_a_line_without_end_is_refused(inspect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(csv_reader, "MAX_LINE_BYTES", 5_000)
    with pytest.raises(UploadRefused, match="longer than 5,000 bytes"):
        inspect("items", "item_id,title\ni1," + "x" * 200_000)


def test_parquet_keeps_its_types(inspect: Any) -> None:
    frame = pl.DataFrame(
        {
            "item_id": [1, 2],
            "name": ["Lamp", None],
            "price": [1.5, 2.0],
            "available": [False, True],
            "tags": [["a", "b"], None],
            "created_at": pl.Series(["2024-01-01T12:00:00", None]).str.to_datetime().dt.replace_time_zone("Asia/Tokyo"),
        }
    )
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    result = inspect("items", buffer.getvalue(), filename="items.parquet")
    assert result.accepted.select("item_id", "title", "price", "available", "tags").rows() == [
        ("1", "Lamp", 1.5, False, "a|b")
    ]
    assert result.accepted["created_at"].dt.strftime("%H:%M").to_list() == ["03:00"]
    assert result.report.validation_errors[0].row == 3


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\items.csv", "items.csv"),
        ("a\x00b\n.csv", "ab.csv"),
        ("..", "upload"),
        ("", "upload"),
        ("größe 1.csv", "größe 1.csv"),
    ],
)
def test_a_file_name_is_only_a_name(inspect: Any, filename: str, shown: str) -> None:
    assert inspect("interactions", GOOD, filename=filename).report.filename == shown

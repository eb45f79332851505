"""One table in every dialect is read as the same rows, on the lines where a person counts them."""

from __future__ import annotations

import csv
import gzip
import io
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.base.errors import UploadRefused
from resources.tenants.settings import FileMapping, TenantSettings, UploadSettings
from resources.uploads.parsing import csv_reader

STRICT = TenantSettings(uploads=UploadSettings(strictness="strict"))
HEADER = ("item_id", "title", "brand", "colour")
CELLS = st.text(st.sampled_from("aé ü,;|\t\"'0.-\n"), max_size=6).map(str.strip)
ROWS = st.lists(
    st.tuples(st.integers(1, 10**6).map(str), CELLS.map(lambda text: f"x{text}".strip()), CELLS, CELLS),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[0],
)
PLAIN = [("1", "Stühle", "für", "10"), ("2", "Lampe", "", "Größe")]


def written(
    rows: list[tuple[str, ...]],
    *,
    separator: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
    ends: str = "\n",
    header: tuple[str, ...] = HEADER,
) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator=ends)
    writer.writerows([header, *rows])
    return buffer.getvalue()


def mapped(**mapping: Any) -> TenantSettings:
    return TenantSettings(uploads=UploadSettings(mappings={"items": FileMapping(**mapping)}))


def codes(report: Any) -> dict[str, int]:
    return {finding.code: finding.count for finding in (*report.notes, *report.warnings)}


def read(inspect: Any, content: str | bytes, **options: Any) -> list[tuple[Any, ...]]:
    accepted = inspect("items", content, **options).accepted
    return list(accepted.select("item_id", "title", "row_number").iter_rows())


@given(
    rows=ROWS,
    separator=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ends=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]),
    zipped=st.booleans(),
    block_bytes=st.sampled_from([50, 1 << 20]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_is_read_the_same_in_every_dialect(
    inspect: Any,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, ...]],
    separator: str,
    quoting: Any,
    ends: str,
    encoding: str,
    zipped: bool,
    block_bytes: int,
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", block_bytes)
    plain = inspect("items", written(rows))
    content = written(rows, separator=separator, quoting=quoting, ends=ends).encode(encoding)
    other = inspect("items", gzip.compress(content, mtime=0) if zipped else content)
    assert other.accepted.drop("upload_id").equals(plain.accepted.drop("upload_id"))
    assert other.report.rows_total == plain.report.rows_total
    assert other.report.reading.separator == separator


@pytest.mark.parametrize(("separator", "encoding"), list(product(",;\t|", ["utf-8", "utf-16", "windows-1252"])))
def test_the_report_says_how_a_file_was_read(inspect: Any, separator: str, encoding: str) -> None:
    result = inspect("items", written(PLAIN, separator=separator).encode(encoding))
    reading = result.report.reading
    assert (reading.format, reading.encoding) == ("tsv" if separator == "\t" else "csv", encoding)
    assert (reading.separator, reading.header_line) == (separator, 1)
    assert ("other_separator" in codes(result.report)) == (separator != ",")
    warned = {finding.code: finding.examples for finding in result.report.warnings}
    assert warned == ({"read_as_windows_1252": ("Stühle", "für", "Größe")} if encoding == "windows-1252" else {})


def test_a_file_that_is_not_utf_8_far_down_is_read_again(inspect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 500)
    rows = [(str(n), "Lamp", "", "") for n in range(20_000)]
    content = written([*rows, ("x", "Stühle", "", "")]).encode("cp1252")
    result = inspect("items", content)
    assert (result.report.rows_accepted, result.accepted["title"][-1]) == (20_001, "Stühle")
    assert result.report.reading.encoding == "windows-1252"
    with pytest.raises(UploadRefused, match="line 20002 holds the byte 0xfc"):
        inspect("items", content, settings=STRICT)


def test_text_of_two_encodings_is_refused_wherever_the_other_one_begins(
    inspect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 500)
    utf_8 = written([(str(n), "Stühle für Gäste", "", "") for n in range(5_000)]).encode()
    with pytest.raises(UploadRefused, match="UTF-8"):
        inspect("items", utf_8 + "x,Stühle,,\n".encode("cp1252"))


def test_the_mapping_says_the_encoding_and_the_separator(inspect: Any) -> None:
    content = "item_id|title\n1|A;Ã¼\n"
    assert read(inspect, content.encode("cp1252")) == [("1", "A;ü", 2)]
    told = mapped(encoding="windows-1252", separator="|")
    assert read(inspect, content.encode("cp1252"), settings=told) == [("1", "A;Ã¼", 2)]
    with pytest.raises(UploadRefused, match="0xfc"):
        inspect("items", written(PLAIN).encode("cp1252"), settings=mapped(encoding="utf-8"))
    with pytest.raises(UploadRefused, match=r"lacks the required column|not a header"):
        inspect("items", "item_id;title\n1;A\n", settings=mapped(separator=","))


@pytest.mark.parametrize(
    ("content", "rows", "found"),
    [
        ("sep=;\nitem_id;title\n1;A\n", [("1", "A", 3)], {"separator_line": 1, "other_separator": 1}),
        ('"sep=,"\r\nitem_id,title\r\n1,A\r\n', [("1", "A", 3)], {"separator_line": 1}),
        ("Export of May,,\n,,\nitem_id,title,price\n1,A,2\n", [("1", "A", 4)],
         {"lines_above_header": 1, "blank_rows": 1}),
        ("a;b\n\n" * 6 + "item_id,title\n1,A\n", [("1", "A", 14)], {"lines_above_header": 6, "blank_rows": 6}),
        ("item_id,title,\n1,A,\n2,B,\n", [("1", "A", 2), ("2", "B", 3)], {"unnamed_columns": 1}),
        ("item_id,title\n1,A,\n2,B,,,\n", [("1", "A", 2), ("2", "B", 3)], {"trailing_separators": 2}),
        ("item_id,title,price,brand\n1,A\n2,B,3\n", [("1", "A", 2), ("2", "B", 3)], {"short_rows": 2}),
        ("item_id,title\n,\n1,A\n , \n\n,,,\n2,B\n", [("1", "A", 3), ("2", "B", 7)], {"blank_rows": 4}),
        (",item_id,title\n0,1,A\n1,2,B\n", [("1", "A", 2), ("2", "B", 3)], {"unnamed_columns": 1}),
        ("Unnamed: 0,item_id,title\n0,1,A\n", [("1", "A", 2)], {"unnamed_columns": 1}),
        ("'item_id','title'\n'1','A, ''b'''\n", [("1", "A, 'b'", 2)], {"single_quotes": 1}),
        ("item_id,title,brand\n'1','A, big','x'\n", [("1", "A, big", 2)], {"single_quotes": 1}),
        ("item_id,title\n1,'Tis\n2,it's\n", [("1", "'Tis", 2), ("2", "it's", 3)], {}),
        ("“item_id”,“title”\n“1”,“A “b” c”\n", [("1", "A “b” c", 2)], {"curly_quotes": 1}),
        ('item_id,title\n1,"say \\"hi\\", now"\n2,B\n', [("1", 'say "hi", now', 2), ("2", "B", 3)],
         {"backslash_quotes": 2}),
        ('item_id,title\n1,"5\\" pipe"\n', [("1", '5" pipe', 2)], {"backslash_quotes": 1}),
        ('item_id,title\n1,"C:\\dir\\"\n2,"D:\\"\n', [("1", "C:\\dir\\", 2), ("2", "D:\\", 3)], {}),
        ('item_id,title\n1,"A "nice" lamp"\n2,"19" Rack"\n', [("1", 'A "nice" lamp', 2), ("2", '19" Rack', 3)],
         {"unescaped_quotes": 2}),
        ('item_id,title\n1,"He said ""hi"", then\nleft"\n', [("1", 'He said "hi", then\nleft', 2)], {}),
        ("item_id,title\r1,A\r\r2,B\r", [("1", "A", 2), ("2", "B", 4)], {"blank_rows": 1}),
        ("item_id,title\n1,To\0aster\n", [("1", "Toaster", 2)], {"nul_bytes": 1}),
        ("item_id\ttitle\tprice, EUR\n1\tA\t2\n", [("1", "A", 2)], {"other_separator": 1, "header_read_as": 1}),
        ("item_id,title,notes,notes\n1,A,x,y\n", [("1", "A", 2)], {"header_repeated": 1}),
    ],
)  # fmt: skip
def test_what_carries_no_data_is_passed_over_and_told(
    inspect: Any, content: str, rows: list[tuple[str, str, int]], found: dict[str, int]
) -> None:
    result = inspect("items", content)
    assert list(result.accepted.select("item_id", "title", "row_number").iter_rows()) == rows
    assert codes(result.report) == found
    assert result.report.rows_total == len(rows)


def test_a_header_amid_the_rows_is_rejected(inspect: Any) -> None:
    again = "\ufeffitem_id,title\n"
    result = inspect("items", f"item_id,title\n1,A\nitem_id,title\n2,B\n{again}3,C\n")
    assert result.accepted["row_number"].to_list() == [2, 4, 6]
    assert result.report.errors_by_rule == {"row.header_again": 2}
    assert result.rejected["rejected_reason"].to_list() == ["is the header again"] * 2
    assert inspect("users", "user_id\nann\nuser_id\n").report.errors_by_rule == {"row.header_again": 1}


def test_values_of_a_column_without_a_name_are_not_lost_in_silence(inspect: Any) -> None:
    rows = "".join(f"{n},A,\n" for n in range(200))
    result = inspect("items", f"item_id,title,\n{rows}x,B,late\n")
    assert (codes(result.report), result.report.rows_accepted) == ({"unnamed_columns": 1, "unnamed_values": 1}, 201)
    assert inspect("items", "item_id,title,\n1,A,early\n").accepted["extra_column_3"].to_list() == ["early"]


def test_a_wide_file_keeps_our_columns(inspect: Any) -> None:
    others = [f"c{n}" for n in range(1500)]
    result = inspect("items", f"{','.join(others)},item_id,title\n{',' * 1500}1,A\n")
    assert result.accepted["item_id"].to_list() == ["1"]
    assert codes(result.report)["further_columns"] == 502
    with pytest.raises(UploadRefused, match="1,502 columns"):
        inspect("items", f"{','.join(others)},item_id,title\n{',' * 1500}1,A\n", settings=STRICT)


@pytest.mark.parametrize(
    "content",
    [
        "item_id;title\n1;A\n",
        "sep=,\nitem_id,title\n1,A\n",
        "Export\nitem_id,title\n1,A\n",
        "item_id,title\nStühle,B\n".encode("cp1252"),
        "item_id,title\n1,A\n".encode("utf-16"),
        "item_id,title,x,X\n1,A,2,3\n",
    ],
)
def test_strict_refuses_what_is_not_plain(inspect: Any, content: str | bytes) -> None:
    assert inspect("items", content).report.rows_accepted == 1
    with pytest.raises(UploadRefused):
        inspect("items", content, settings=STRICT)


@pytest.mark.parametrize("row", ["1,A", ",", "1,A,2,"])
def test_strict_rejects_rows_of_another_shape(inspect: Any, row: str) -> None:
    report = inspect("items", f"item_id,title,price\n{row}\n", settings=STRICT).report
    assert report.errors_by_rule == {"row.wrong_field_count": 1}


def test_rejected_rows_of_a_dialect_come_back_the_same(inspect: Any) -> None:
    content = 'Export\nitem_id;title;brand;\n1;"A;b";x;\n;"C;d";"y ""z""";\n;Stühle;é;\n'.encode("cp1252")
    first = inspect("items", content)
    assert first.rejected["rejected_row"].to_list() == [4, 5]
    again = inspect("items", first.csv)
    assert again.report.reading.separator == ","
    columns = ["item_id", "title", "brand"]
    assert again.rejected.select(columns).equals(first.rejected.select(columns))
    assert again.report.errors_by_rule == first.report.errors_by_rule


def test_a_file_without_a_header_is_told_what_to_put_there(inspect: Any) -> None:
    with pytest.raises(UploadRefused, match="item_id;title;column_3"):
        inspect("items", "1;A;2\n2;B;3\n")

"""Any file at all: rows add up, and every row is accepted, rejected or left out for a reason that is true.

The oracle below reads the contract anew, row by row in plain Python; it shares nothing with the rules.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.tenants.settings import TenantSettings, UploadSettings
from resources.uploads.checking import parts
from resources.uploads.contract.columns import Kind, ValueType, columns
from resources.uploads.deduplication import entries, pairs
from resources.uploads.parsing import csv_reader
from tests.contract_table import rule_table

TIMES = {
    "2024-05-01T10:00:00Z": 0,
    "2024-05-01T12:00:00+02:00": 0,
    "1714557600": 0,
    "2024-05-01": -36_000,
    "2024-05-01 10:00:00.5": 1,
}
TYPES = "view, click, add_to_cart, purchase, rating, like, dislike"
NOT_A_TYPE = f"is not an interaction type this shop uses (accepted: {TYPES})"
NOT_A_TIME = "is not a time: write it like 2024-05-31T14:05:00Z, or as epoch seconds"
NOT_A_BOOLEAN = "is not one of true, false, 1, 0, yes, no"
ONE_OF_TWO = "with other values; keep one of the two"
OTHER_CONTENT = "with another user, item or type: give each line of an order an event_id of its own, such as order-17-2"
LOST_DIGITS = "has lost digits in a spreadsheet: format the column as text before the ids come in, and export again"
NOBODY = "stands for nobody: leave the row out, or send the shop's own id of this user or item"
NOT_A_NUMBER = "is not a number: write it like 1234.5"

STRICT = TenantSettings(uploads=UploadSettings(strictness="strict"))
"""To the letter of the contract."""

IDS = st.sampled_from(["a", "b", "c", " a ", "ü", "x,y", 'q"q', "", "  ", "l\nf", "x" * 257, "null", "NaN", "1.0E+12"])
INTERACTIONS = st.tuples(
    IDS,
    st.sampled_from(["i", "j", ""]),
    st.sampled_from(["view", "View", "rating", "looked", ""]),
    st.sampled_from([*TIMES, "soon", "", "1970-01-01", "2999-01-01"]),
    st.sampled_from(["", "5", "11", "-1", "x"]),
    st.sampled_from(["", "", "e1", "e2"]),
    st.sampled_from(["", "", "", "false", "true", "1", "maybe"]),
)
ITEMS = st.tuples(
    IDS,
    st.sampled_from(["Lamp", " Lamp", "Rug", "two\nlines", ""]),
    st.sampled_from(["", "5", "5.0", "-1", "x", "inf"]),
    st.sampled_from(["", "red", "blue"]),
    st.sampled_from(["", "", "", "no", "YES", "maybe"]),
)
RAGGED = st.sampled_from([("one",), ("1", "2", "3"), ("1",) * 9])
HEADERS = {
    "interactions": ("user_id", "item_id", "interaction_type", "timestamp", "rating", "event_id", "deleted"),
    "items": ("item_id", "title", "price", "colour", "deleted"),
}
FILES = st.one_of(
    st.tuples(
        st.just("interactions"), st.lists(st.one_of(INTERACTIONS, INTERACTIONS, RAGGED), min_size=1, max_size=25)
    ),
    st.tuples(st.just("items"), st.lists(st.one_of(ITEMS, ITEMS, RAGGED), min_size=1, max_size=25)),
)


@pytest.fixture(scope="module")
def cut_small() -> Iterator[None]:
    """Blocks, parts, buckets and windows of a few rows, so that a short file is as complicated as a long one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_reader, "BLOCK_BYTES", 150)
        patch.setattr(parts, "PART_ROWS", 4)
        patch.setattr(entries, "_BUCKET_BYTES", 100)
        patch.setattr(entries, "_MAX_BUCKET_BITS", 1)
        patch.setattr(entries, "_ENTRIES_AT_ONCE", 3)
        patch.setattr(pairs, "_WINDOW_LINES", 5)
        yield


@given(file=FILES, ends=st.sampled_from(["\n", "\r\n"]), blank=st.integers(0, 30))
@settings(deadline=None, max_examples=40)  # the first example of a process imports and compiles
def test_every_row_of_any_file_is_answered_truly(
    inspect: Any, cut_small: None, file: tuple[str, list[tuple[str, ...]]], ends: str, blank: int
) -> None:
    kind, rows = file
    text, lines = written(HEADERS[kind], rows, ends=ends, blank_after=blank)
    result = inspect(kind, text, settings=STRICT)
    accepted, rejected = expected(kind, dict(zip(lines, rows, strict=True)), HEADERS[kind])
    assert dict(zip(result.rejected["rejected_row"], result.rejected["rejected_reason"], strict=True)) == rejected
    assert result.accepted["row_number"].to_list() == accepted
    report = result.report
    assert (report.rows_total, report.rows_accepted, report.rows_rejected) == (len(rows), len(accepted), len(rejected))
    assert report.rows_duplicate == len(rows) - len(accepted) - len(rejected)
    assert sum(report.errors_by_rule.values()) == sum(map(n_reasons, rejected.values()))
    assert [error.row for error in report.validation_errors] == sorted(error.row for error in report.validation_errors)
    assert {error.row for error in report.validation_errors} == set(rejected)


def n_reasons(text: str) -> int:
    return 1 if text.endswith(ONE_OF_TWO) else text.count("; ") + 1


def written(
    header: tuple[str, ...], rows: list[tuple[str, ...]], *, ends: str, blank_after: int
) -> tuple[str, list[int]]:
    """Write CSV, with a blank line after some row, and return the line on which each row starts."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator=ends)
    writer.writerow(header)
    lines = []
    for number, row in enumerate(rows):
        lines.append(buffer.getvalue().count("\n") + 1)
        writer.writerow(row)
        if number == blank_after:
            buffer.write(ends)
    return buffer.getvalue(), lines


def expected(kind: str, rows: dict[int, tuple[str, ...]], header: tuple[str, ...]) -> tuple[list[int], dict[int, str]]:
    """Return the lines to be accepted, and the reasons of those to be rejected."""
    rejected: dict[int, str] = {}
    valid: dict[int, dict[str, str]] = {}
    for line, cells in rows.items():
        if len(cells) != len(header):
            rejected[line] = f"the row has {len(cells)} fields and the header has {len(header)}"
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        reasons = list(interaction_reasons(row) if kind == "interactions" else item_reasons(row))
        if reasons:
            rejected[line] = "; ".join(reasons)
        else:
            valid[line] = row
    deletions = [line for line, row in valid.items() if is_deleted(row)]
    others = {line: row for line, row in valid.items() if line not in deletions}
    kept = kept_interactions(others, rejected) if kind == "interactions" else kept_items(others, rejected)
    return sorted([*deletions, *kept]), rejected


def is_deleted(row: dict[str, str]) -> bool:
    return row["deleted"].lower() in ("true", "1", "yes")


def id_reasons(column: str, value: str, *, required: bool = True) -> Iterator[str]:
    if required and not value:
        yield f"{column} is empty"
    if len(value.encode()) > 256:
        yield f"{column} is longer than 256 bytes"
    if "\n" in value:
        yield f"{column} contains a control character"
    if value == "1.0E+12":
        yield f"{column} {LOST_DIGITS}"
    if value in ("null", "NaN"):
        yield f"{column} {NOBODY}"


def deleted_reasons(row: dict[str, str]) -> Iterator[str]:
    if row["deleted"] == "maybe":
        yield f"deleted {NOT_A_BOOLEAN}"


def interaction_reasons(row: dict[str, str]) -> Iterator[str]:
    yield from id_reasons("user_id", row["user_id"])
    yield from id_reasons("item_id", row["item_id"])
    kind, time, rating = row["interaction_type"].lower(), row["timestamp"], row["rating"]
    if not kind:
        yield "interaction_type is empty"
    if kind == "looked":
        yield f"interaction_type {NOT_A_TYPE}"
    if not time:
        yield "timestamp is empty"
    if time == "soon":
        yield f"timestamp {NOT_A_TIME}"
    if time == "2999-01-01":
        yield "timestamp is more than 24 hours in the future"
    if time == "1970-01-01":
        yield "timestamp is before 1990"
    if rating == "x":
        yield f"rating {NOT_A_NUMBER}"
    if kind == "rating" and not rating and not is_deleted(row):
        yield "rating is empty, and a row of type rating needs it"
    if rating in ("11", "-1"):
        yield "rating is outside 0 to 10"
    yield from deleted_reasons(row)


def item_reasons(row: dict[str, str]) -> Iterator[str]:
    yield from id_reasons("item_id", row["item_id"])
    if not row["title"] and not is_deleted(row):
        yield "title is empty"
    if row["price"] in ("x", "inf"):
        yield f"price {NOT_A_NUMBER}"
    if row["price"] == "-1":
        yield "price is below 0"
    yield from deleted_reasons(row)


def kept_interactions(rows: dict[int, dict[str, str]], rejected: dict[int, str]) -> list[int]:
    """Leave out what has the event id of an earlier row, then what is equal to an earlier one of the rest.

    One that has the event id of an earlier row, and another user, item or type, is rejected.
    """
    events: dict[str, tuple[int, tuple[str, ...]]] = {}
    unlike: dict[int, tuple[object, ...]] = {}
    for line, row in rows.items():
        event, content = row["event_id"], (row["user_id"], row["item_id"], row["interaction_type"].lower())
        first, said = events.setdefault(event, (line, content)) if event else (line, content)
        if said != content:
            rejected[line] = f"event_id is that of line {first} {OTHER_CONTENT}"
        elif first == line:
            unlike[line] = (*content, TIMES[row["timestamp"]])
    keys = list(unlike.values())
    return [line for number, (line, key) in enumerate(unlike.items()) if key not in keys[:number]]


def kept_items(rows: dict[int, dict[str, str]], rejected: dict[int, str]) -> list[int]:
    """Keep the first row of each id; another one is rejected unless it says the same."""
    first: dict[str, tuple[int, tuple[object, ...]]] = {}
    for line, row in rows.items():
        price = float(row["price"]) if row["price"] else None
        contents = (row["title"].replace("\r\n", "\n"), price, row["colour"])
        known, other = first.setdefault(row["item_id"], (line, contents))
        if other != contents:
            rejected[line] = f"item_id repeats the id of line {known} {ONE_OF_TWO}"
    return [line for line, _ in first.values()]


def test_the_oracle_knows_every_reason_of_the_contract() -> None:
    told = " ".join(
        [
            *id_reasons("x", ""),
            *id_reasons("x", "1.0E+12"),
            *id_reasons("x", "\n" * 300),
            *id_reasons("x", "null"),
            NOT_A_TYPE,
            NOT_A_TIME,
            NOT_A_BOOLEAN,
        ]
    )
    for row in (dict.fromkeys(HEADERS["items"], ""), dict.fromkeys(HEADERS["items"], "-1")):
        told += " ".join(item_reasons(row))
    for time, rating in (("2999-01-01", "x"), ("1970-01-01", "11"), ("", "")):
        row = {"interaction_type": "rating", "timestamp": time, "rating": rating}
        told += " ".join(interaction_reasons(dict.fromkeys(HEADERS["interactions"], "") | row))
    cells = re.findall(r"\| ([^|]+) \|\n", rule_table(Kind.INTERACTIONS, STRICT) + rule_table(Kind.ITEMS, STRICT))
    reasons = {reason for cell in cells for reason in cell.split("; ")} - {"a row is rejected when it"}
    # Long texts are in the tests of nasty files.
    limits = {column.max_bytes for column in columns(Kind.ITEMS) if column.value_type is ValueType.TEXT}
    assert {reason for reason in reasons if reason not in told} == {f"is longer than {most:,} bytes" for most in limits}

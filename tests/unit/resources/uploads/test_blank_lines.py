"""Blank lines are counted, not parsed: the rows keep their lines, and millions of blank ones cost next to nothing."""

from __future__ import annotations

import csv
import io
from time import process_time

import pytest

from resources.base.errors import UploadRefused
from resources.tenants.settings import UploadSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import DEFAULT_LIMITS
from resources.uploads.parsing.reader import open_table
from resources.uploads.parsing.uploaded_file import identify

HEADER = b"user_id,item_id,interaction_type,timestamp\n"
ROW = b"a,b,view,1700000000\n"
QUOTED = b'a,"b\n\n\nc",view,1700000000\n'
MANY = 16 * 1024**2


def lines(content: bytes) -> list[int]:
    source = identify(content, filename="a.csv", max_bytes=2**31)
    settings = UploadSettings()
    with open_table(source, Kind.INTERACTIONS, settings=settings, max_bytes=2**31, limits=DEFAULT_LIMITS) as table:
        return [line for batch in table.batches for line in batch.frame["row_number"]]


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \n", b"\t \r\n"])
@pytest.mark.parametrize("often", [1, 3, 200])
@pytest.mark.parametrize("row", [ROW, QUOTED])
def test_rows_keep_their_lines(blank: bytes, often: int, row: bytes) -> None:
    height = row.count(b"\n")
    content = blank * often + HEADER + row + blank * often + row + ROW + blank * often
    first = often + 2
    assert lines(content) == [first, first + height + often, first + 2 * height + often]


@pytest.mark.e2e
@pytest.mark.parametrize(
    "content",
    [HEADER + ROW + b"\n" * MANY, HEADER + QUOTED + b"\n" * MANY, b"\n" * MANY + HEADER + ROW],
    ids=["below", "below quoted", "above"],
)
def test_millions_of_them_take_no_time(content: bytes) -> None:
    bar = 16 * seconds_to_read(content[: len(content) // 4])
    started = process_time()
    assert len(lines(content)) == 1
    assert process_time() - started < bar


def test_nothing_but_blank_lines() -> None:
    content = b"\n" * MANY
    bar = 16 * seconds_to_read(content[: len(content) // 4])
    started = process_time()
    with pytest.raises(UploadRefused, match="no text"):
        lines(content)
    assert process_time() - started < bar


def seconds_to_read(content: bytes) -> float:
    """What Python's own reader takes for the same lines; making rows of them takes tens of times as long."""
    lines(HEADER + ROW)  # what the first one imports is not counted
    started = process_time()
    for _ in csv.reader(io.StringIO(content.decode())):
        pass
    return process_time() - started

"""Whatever the quotes and wherever a block ends, the rows are those that the `csv` module finds in the whole text."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.uploads.contract.findings import FindingLog
from resources.uploads.dialects.encoding import Encoding, FoundEncoding
from resources.uploads.dialects.header import CsvHeader
from resources.uploads.dialects.quotes import Dialect
from resources.uploads.parsing import csv_reader
from resources.uploads.parsing.csv_reader import RowForm, read_batches

PIECES = ["a", "é ", ",", ",", '"', '""', "\n", "\r\n", '"c"', '"c\nd"', ' "']


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.integers(1, 3), st.sampled_from([3, 7, 1000]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_do_not_depend_on_where_blocks_end(
    monkeypatch: pytest.MonkeyPatch, text: str, width: int, block_bytes: int
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", block_bytes)
    whole = text.rstrip("\r\n")
    names = ("x", "y", "z")[:width]
    rows = []
    header = CsvHeader(names, Dialect(), 1, 2, rest=b"", encoding=FoundEncoding(Encoding.UTF_8, "utf-8"))
    form = RowForm(names, fewest=width, strict=True)
    for batch in read_batches(io.BytesIO(whole.encode()), header, form, "f.csv", log=FindingLog()):
        rows += [(row[-1], list(row[:-1])) for row in batch.frame.rows()]
        rows += [(ragged.row, list(ragged.fields)) for ragged in batch.ragged]
    reader = csv.reader(io.StringIO(whole, newline=""))
    expected, line = [], 2
    for record in reader:
        if any(field.strip() for field in record) or len(record) > 1:
            expected.append((line, record))
        line = reader.line_num + 2
    assert sorted(row for row in rows if len(row[1]) > 1 or row[1][0].strip()) == expected

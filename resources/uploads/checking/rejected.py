"""The rejected rows as a download: CSV that a spreadsheet cannot run, and that can be sent again once mended."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl
from upath import UPath

from resources.base.spreadsheets import FORMULA, NUMBER
from resources.storage.lake import scan_parquet
from resources.uploads.contract.columns import REJECTED_REASON, REJECTED_ROW
from resources.uploads.parsing.csv_reader import TextBatch

_ESCAPED_FORMULA = r"^''*[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_CHUNK_ROWS = 20_000


def rejected_csv_chunks(parts: Sequence[UPath]) -> Iterator[bytes]:
    """Yield rejected rows as CSV in UTF-8 with a mark, so that spreadsheets read the letters right; a part at a time.

    A cell that a spreadsheet would run gets an apostrophe in front; `undo_download` takes it away again.
    """
    for number, part in enumerate(parts):
        rejected = scan_parquet([part]).collect()
        headers = pl.DataFrame({"name": rejected.columns}).select(_escape(pl.col("name"))).to_series()
        for start in range(0, max(1, rejected.height), _CHUNK_ROWS):
            first = number == 0 and start == 0
            safe = rejected.slice(start, _CHUNK_ROWS).with_columns(
                _escape(pl.col(name)).alias(name) for name in rejected.columns if name != REJECTED_ROW
            )
            buffer = io.BytesIO()
            safe.rename(dict(zip(rejected.columns, headers, strict=True))).write_csv(
                buffer, include_bom=first, include_header=first
            )
            yield buffer.getvalue()


def undo_download(batch: TextBatch) -> TextBatch:
    """Return the batch without what `rejected_csv_chunks` added; any other file's batch comes back as it is."""
    if not {REJECTED_ROW, REJECTED_REASON} & set(batch.frame.columns):
        return batch
    text = batch.frame.drop(REJECTED_ROW, REJECTED_REASON, strict=False)
    cells = pl.col(pl.String)
    unescaped = pl.when(cells.str.contains(_ESCAPED_FORMULA)).then(cells.str.slice(1)).otherwise(cells)
    return replace(batch, frame=text.with_columns(unescaped))


def _escape(text: pl.Expr) -> pl.Expr:
    runs = text.str.contains(FORMULA) & ~text.str.contains(NUMBER)
    return pl.when(runs).then(pl.lit("'") + text).when(text != "").then(text)

"""The rejected rows as a download: CSV that a spreadsheet cannot run, and that can be sent again once mended."""

from __future__ import annotations

import io

import polars as pl

from resources.uploads.contract import REJECTED_REASON, REJECTED_ROW
from resources.uploads.csv_reader import TextBatch

# Spreadsheets run a cell that starts so (OWASP, "CSV Injection"). A number may start with a sign.
_FORMULA = r"^'*[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_ESCAPED_FORMULA = r"^''*[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_NUMBER = r"^[+-]?\d+(?:\.\d+)?$"


def rejected_csv(rejected: pl.DataFrame) -> bytes:
    """Return rejected rows as CSV in UTF-8 with a mark, so that spreadsheets read the letters right.

    A cell that a spreadsheet would run gets an apostrophe in front; `undo_download` takes it away again.
    """
    safe = rejected.with_columns(_escape(pl.col(name)).alias(name) for name in rejected.columns if name != REJECTED_ROW)
    headers = pl.DataFrame({"name": rejected.columns}).select(_escape(pl.col("name"))).to_series()
    safe = safe.rename(dict(zip(rejected.columns, headers, strict=True)))
    buffer = io.BytesIO()
    safe.write_csv(buffer, include_bom=True)
    return buffer.getvalue()


def undo_download(batch: TextBatch) -> TextBatch:
    """Return the batch without what `rejected_csv` added; any other file's batch comes back as it is."""
    if not {REJECTED_ROW, REJECTED_REASON} & set(batch.frame.columns):
        return batch
    text = batch.frame.drop(REJECTED_ROW, REJECTED_REASON, strict=False)
    cells = pl.col(pl.String)
    return TextBatch(
        text.with_columns(pl.when(cells.str.contains(_ESCAPED_FORMULA)).then(cells.str.slice(1)).otherwise(cells)),
        batch.ragged,
    )


def _escape(text: pl.Expr) -> pl.Expr:
    runs = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    return pl.when(runs).then(pl.lit("'") + text).when(text != "").then(text)

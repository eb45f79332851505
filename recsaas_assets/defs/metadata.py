"""How a materialisation shows itself in the Dagster UI."""

from __future__ import annotations

import base64

import polars as pl
from dagster import MarkdownMetadataValue, MetadataValue

_PREVIEW_CELL = 60


def preview(frame: pl.DataFrame, *, rows: int = 5, columns: int = 12) -> MarkdownMetadataValue:
    """The first rows as a Markdown table."""
    shown = frame.head(rows).select(frame.columns[:columns])
    lines = [_row(shown.columns), _row(["---"] * shown.width)]
    lines += [_row(["" if value is None else str(value) for value in row]) for row in shown.rows()]
    return MetadataValue.md("\n".join(lines))


def table(header: list[str], rows: list[list[str]]) -> MarkdownMetadataValue:
    """A Markdown table."""
    return MetadataValue.md("\n".join([_row(header), _row(["---"] * len(header)), *map(_row, rows)]))


def picture(png: bytes, *, alt: str) -> MarkdownMetadataValue:
    """A PNG, shown inline."""
    return MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell[:_PREVIEW_CELL].replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

"""Metadata of a materialisation, as the Dagster UI shows it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import polars as pl
from dagster import MarkdownMetadataValue, MetadataValue
from upath import UPath

from resources.control_db.event_exports import EventExport

PREVIEW_ROWS = 5
_PREVIEW_CELL = 60
_HIDDEN = "•••"
# Dagster keeps metadata for ever, and the erasure of a user does not reach it.
_PERSONAL = frozenset({"user_id", "session_id", "event_id", "recommendation_id", "extra"})
_NOT_PERSONAL = frozenset(
    {"item_id", "interaction_type", "upload_id", "session_source", "favourite_category", "category"}
)


def preview(frame: pl.DataFrame, *, rows: int = PREVIEW_ROWS, columns: int = 12) -> MarkdownMetadataValue:
    """The first rows as a Markdown table, without what tells who a user is."""
    shown = _masked(frame.head(rows)).select(frame.columns[:columns])
    lines = [_row(shown.columns), _row(["---"] * shown.width)]
    lines += [_row(["" if value is None else str(value) for value in row]) for row in shown.rows()]
    return MetadataValue.md("\n".join(lines))


def exported(ledger: Sequence[EventExport], folder: UPath) -> dict[str, Any]:
    """Metadata of `tracked_events`."""
    return {
        "dagster/row_count": sum(piece.rows for piece in ledger),
        "first_seq": ledger[0].first_seq if ledger else 0,
        "last_seq": ledger[-1].last_seq if ledger else 0,
        "pieces": len(ledger),
        "path": MetadataValue.path(str(folder)),
    }


def table(header: list[str], rows: list[list[str]]) -> MarkdownMetadataValue:
    """A Markdown table."""
    return MetadataValue.md("\n".join([_row(header), _row(["---"] * len(header)), *map(_row, rows)]))


def picture(png: bytes, *, alt: str) -> MarkdownMetadataValue:
    """A PNG, shown inline."""
    return MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def _masked(frame: pl.DataFrame) -> pl.DataFrame:
    """In a table of users any text that is not known to be harmless may name somebody."""
    of_users = "user_id" in frame.columns
    hidden = [
        name
        for name, dtype in frame.schema.items()
        if name in _PERSONAL
        or name.startswith("extra_")
        or (of_users and dtype == pl.String and name not in _NOT_PERSONAL)
    ]
    return frame.with_columns(pl.when(pl.col(name).is_not_null()).then(pl.lit(_HIDDEN)).alias(name) for name in hidden)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell[:_PREVIEW_CELL].replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

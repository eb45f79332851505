"""The decision log as a table, for analysis and off-policy evaluation: one row for each answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from resources.decisions.decision import Decision, as_fields

DECISION_SCHEMA = pl.Schema(
    {
        "recommendation_id": pl.String(),
        "tenant": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "kind": pl.String(),
        "user_id": pl.String(),
        "session_id": pl.String(),
        "scenario": pl.String(),
        "variant": pl.String(),
        "release_version": pl.String(),
        "algorithm": pl.String(),
        "fallback_reason": pl.String(),
        "degraded": pl.Boolean(),
        "items": pl.List(
            pl.Struct(
                {
                    "item_id": pl.String(),
                    "position": pl.Int32(),
                    "score": pl.Float64(),
                    "source": pl.String(),
                    "propensity": pl.Float64(),
                }
            )
        ),
        "rules": pl.List(pl.String()),
        "event_watermark": pl.Int64(),
        "events_seen": pl.Int64(),
        "state_version": pl.Int64(),
        "request_id": pl.String(),
        "offset": pl.Int32(),
    }
)
"""`items` in the order in which they were shown."""


def as_tables(blocks: Iterable[tuple[Decision, ...]]) -> Iterator[pl.DataFrame]:
    """Yield each block as `DECISION_SCHEMA`."""
    for block in blocks:
        yield pl.DataFrame([{**as_fields(each), "at": each.at} for each in block], schema=DECISION_SCHEMA)

"""Times: ISO 8601 and epochs at once, whatever else people write one cell at a time."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from resources.uploads.contract.columns import TIME, ColumnSpec
from resources.uploads.normalising.cells import ReadColumn
from resources.uploads.normalising.decisions import ColumnDecision
from resources.uploads.normalising.texts import clean_text

_ISO = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<clock>\d{2}:\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r" ?(?:[Zz]|UTC|(?P<sign>[+-])(?P<hours>0\d|1[0-4])(?::?(?P<minutes>[0-5]\d))?)?$"
)
_EPOCH_SECONDS = r"^\d{9,11}(?:\.\d+)?$"
# Other programs, Python among them, know the years 1 to 9999.
_FIRST_TIME, _LAST_TIME = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)
_EPOCH_MILLISECONDS = r"^\d{12,14}(?:\.\d+)?$"


def read_times(text: pl.Series, spec: ColumnSpec, decision: ColumnDecision) -> ReadColumn:
    """Read a column of times (String)."""
    values = _parse_times(text)
    if values.null_count() == 0:
        return ReadColumn(text, values)
    cleaned = clean_text(text)
    return ReadColumn(cleaned, _parse_times(cleaned))


def _parse_times(text: pl.Series) -> pl.Series:
    """Read ISO 8601 times (no offset means UTC) and epoch seconds or milliseconds as UTC with microseconds."""
    # cache=False: times hardly repeat, and looking each one up costs more than reading it
    parsed = text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False, cache=False)
    if parsed.null_count() > text.null_count():
        left = parsed.is_null() & text.is_not_null()
        parsed = parsed.scatter(left.arg_true(), _parse_other_times(text.filter(left)))
    outside = ~parsed.is_between(_FIRST_TIME, _LAST_TIME)
    parsed = parsed.set(outside, None) if outside.any() else parsed
    return parsed.dt.replace_time_zone("UTC").cast(TIME)


def _parse_other_times(text: pl.Series) -> pl.Series:
    """Read any accepted form; naive Datetime('us') in UTC."""
    part = pl.col("part").struct.field
    iso = pl.concat_str(
        part("date"), pl.lit("T"), part("clock").fill_null("00:00"), pl.lit(":"), _or(part("second"), "00")
    ).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    fraction = _or(part("fraction"), "0").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)
    minutes = _or(part("hours"), "0").cast(pl.Int64) * 60 + _or(part("minutes"), "0").cast(pl.Int64)
    east = pl.when(part("sign") == "-").then(-minutes).otherwise(minutes)
    number = pl.col("text").cast(pl.Float64, strict=False)
    epoch = (
        pl.when(pl.col("text").str.contains(_EPOCH_SECONDS))
        .then(number * 1e6)
        .when(pl.col("text").str.contains(_EPOCH_MILLISECONDS))
        .then(number * 1e3)
        .cast(pl.Int64)
        .cast(pl.Datetime("us"))
    )
    return (
        text.alias("text")
        .to_frame()
        .with_columns(part=pl.col("text").str.extract_groups(_ISO))
        .select((iso + pl.duration(microseconds=fraction) - pl.duration(minutes=east)).fill_null(epoch))
        .to_series()
    )


def _or(text: pl.Expr, default: str) -> pl.Expr:
    return text.fill_null(default)

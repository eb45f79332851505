"""Text to values, a column at a time. Text that cannot be read becomes null; the rules say why it is not accepted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import INTERACTION_TYPES, TIME, ValueType

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_ISO = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<clock>\d{2}:\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r" ?(?:[Zz]|UTC|(?P<sign>[+-])(?P<hours>0\d|1[0-4])(?::?(?P<minutes>[0-5]\d))?)?$"
)
_EPOCH_SECONDS = r"^\d{9,11}(?:\.\d+)?$"
# Other programs, Python among them, know the years 1 to 9999.
_FIRST_TIME, _LAST_TIME = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)
_EPOCH_MILLISECONDS = r"^\d{12,14}(?:\.\d+)?$"


def clean_text(text: pl.Series) -> pl.Series:
    """Remove surrounding blanks; text with nothing left becomes null."""
    stripped = text.str.strip_chars()
    has_nothing = stripped == ""
    return stripped.set(has_nothing, None) if has_nothing.any() else stripped


def interaction_type_map(settings: TenantSettings) -> dict[str, str]:
    """Return every accepted name in lower case, mapped onto ours; the tenant's own names win."""
    own = {name.strip().lower(): target for name, target in settings.interaction_types.items()}
    return {**{name: name for name in INTERACTION_TYPES}, **own}


def clean_and_parse(text: pl.Series, value_type: ValueType, types: Mapping[str, str]) -> tuple[pl.Series, pl.Series]:
    """Return the cleaned text of a column and its values; a value is null where the text is, or cannot be read."""
    if value_type not in (ValueType.ID, ValueType.TEXT):
        values = parse(text, value_type, types)
        if values.null_count() == 0:
            return text, values  # every cell could be read as it stands: nothing to clean
    cleaned = clean_text(text)
    return cleaned, parse(cleaned, value_type, types)


def parse(text: pl.Series, value_type: ValueType, types: Mapping[str, str]) -> pl.Series:
    """Read text (String) as `value_type`; null where it is null or cannot be read."""
    match value_type:
        case ValueType.ID | ValueType.TEXT:
            return text
        case ValueType.NUMBER:
            return parse_numbers(text)
        case ValueType.TIME:
            return parse_times(text)
        case ValueType.BOOLEAN:
            return text.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
        case ValueType.INTERACTION_TYPE:
            return _parse_types(text, dict(types))


def _parse_types(text: pl.Series, types: dict[str, str]) -> pl.Series:
    known = text.replace_strict(types, default=None, return_dtype=pl.String)
    if known.null_count() == text.null_count():
        return known
    return text.str.to_lowercase().replace_strict(types, default=None, return_dtype=pl.String)


def parse_numbers(text: pl.Series) -> pl.Series:
    """Read finite numbers with a decimal point as Float64."""
    number = text.cast(pl.Float64, strict=False)
    finite = number.is_finite()
    return number if finite.all() else number.set(~finite, None)


def parse_times(text: pl.Series) -> pl.Series:
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

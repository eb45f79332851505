"""Times: ISO 8601 and epochs a column at once, whatever else people write cell by cell.

Without an offset a time is in UTC. The order of day and month is read where one of them is above 12, and else as the
column decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, NamedTuple

import polars as pl

from resources.uploads.contract.columns import TIME, ColumnSpec
from resources.uploads.contract.words import ZERO_TIMES, means_nothing
from resources.uploads.normalising.cells import MAX_CELL_CHARACTERS, Cell, ReadColumn, placed, read_cells, together
from resources.uploads.normalising.decisions import UNDECIDED, ColumnDecision
from resources.uploads.normalising.evidence import Seen, Sign, added
from resources.uploads.normalising.texts import clean_text, empty_to_null

_ISO = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<clock>\d{2}:\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r" ?(?:[Zz]|UTC|(?P<sign>[+-])(?P<hours>0\d|1[0-4])(?::?(?P<minutes>[0-5]\d))?)?$"
)
# Other programs, Python among them, know the years 1 to 9999.
_FIRST_TIME, _LAST_TIME = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)
_EPOCH = re.compile(r"([0-9]{9,20})(?:\.([0-9]+))?")
_SCIENTIFIC = re.compile(r"([0-9])(?:\.([0-9]+))?[eE]\+?0?(9|1[0-8])")
_CALENDAR_DIGITS = re.compile(r"((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})(?:[T ]?([0-9]{2})([0-9]{2})([0-9]{2})?)?(.*)")
_DATE_AND_CLOCK = (
    r"^(?P<date>[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}) "
    r"(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]))?$"
)
_EXCEL_DAYS = re.compile(r"[2-7][0-9]{4}(?:\.[0-9]+)?")
_EXCEL_EPOCH = datetime(1899, 12, 30, tzinfo=UTC)
_LEAST_DIGITS = 8
"""Of an epoch in scientific notation: with fewer, digits were lost for sure."""

_MONTHS = {
    name[:length]: number
    for number, name in enumerate(
        "january february march april may june july august september october november december".split(),  # noqa: SIM905
        start=1,
    )
    for length in (3, len(name))
} | {"sept": 9}
_ZONES = {"UTC": 0, "GMT": 0, "Z": 0, "UT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6}
_ZONES |= {"PST": -8, "PDT": -7, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3}
"""Those of RFC 2822 and of Europe; other names are used for more than one zone."""
_DAY_NAME = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_MONTH_NAME = r"(?P<name>[a-z]{3,9})\.?"
_CLOCK = (
    r"(?:(?:,?\s+(?:at\s+)?|t)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[ap]\.?m\.?)?)?"
)
_ZONE = (
    r"\s*(?P<zone>z|[a-z]{2,4})?(?:(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>[0-5]\d))?)?"
    r"(?:\s*(?:\([^)]*\)|\[[^\]]*\]))?"
)
_FORMS = tuple(
    re.compile(_DAY_NAME + form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"(?P<year>\d{{4}})(?P<between>[-/.])(?P<month>\d{{1,2}})(?P=between)(?P<day>\d{{1,2}}){_CLOCK}{_ZONE}",
        rf"(?P<first>\d{{1,2}})(?P<between>[-/.])(?P<second_part>\d{{1,2}})(?P=between)(?P<year>\d{{4}}){_CLOCK}{_ZONE}",
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-]+{_MONTH_NAME},?[\s-]+(?P<year>\d{{4}}){_CLOCK}{_ZONE}",
        rf"{_MONTH_NAME}[\s-]+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?[\s-]+(?P<year>\d{{4}}){_CLOCK}{_ZONE}",
        rf"{_MONTH_NAME}\s+(?P<day>\d{{1,2}}){_CLOCK}{_ZONE}\s+(?P<year>\d{{4}})",
    )
)
_TWO_DIGIT_YEAR = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d{2}(?:[T ,].*)?", re.ASCII)


def normalise_time(text: str, decision: ColumnDecision = UNDECIDED) -> Cell[datetime]:
    """Read a time, as UTC with microseconds."""
    body = " ".join(text.replace("\u00a0", " ").replace("\u202f", " ").split())
    if not body:
        return Cell()
    if means_nothing(body):
        return Cell(notes=("empty_word",))
    if _is_zero(body):
        return Cell(notes=("zero_time",))
    if len(body) > MAX_CELL_CHARACTERS:
        return Cell(problem="not_a_time")
    if body[0] in "='":
        body = body.removeprefix("=").strip("\"'")
    try:
        return _epoch(body) or _calendar_digits(body) or _written_out(body, decision) or _other(body, decision)
    except (ValueError, OverflowError):  # such as 31 February
        return Cell(problem="not_a_time")


def _is_zero(body: str) -> bool:
    date, _, clock = body.replace("T", " ").partition(" ")
    return date in ZERO_TIMES and not clock.strip("0:.Z+ ")


def _epoch(body: str) -> Cell[datetime] | None:
    """Read digits since 1970 by their number: seconds have 9 to 11, and each finer unit three more."""
    if scientific := _SCIENTIFIC.fullmatch(body):
        whole, decimals, exponent = scientific[1], scientific[2] or "", int(scientific[3])
        if len(whole + decimals) < _LEAST_DIGITS:
            return Cell(problem="lost_digits")
        digits, fraction = (whole + decimals)[: exponent + 1].ljust(exponent + 1, "0"), decimals[exponent:]
        return _of_digits(digits, fraction)
    found = _EPOCH.fullmatch(body)
    return _of_digits(found[1], found[2] or "") if found else None


def _of_digits(digits: str, fraction: str) -> Cell[datetime] | None:
    if len(digits) == 14 and (cell := _calendar_digits(digits)):
        return cell
    per_second, sign = next((units, sign) for most, units, sign in _UNITS if len(digits) <= most)
    if per_second <= 1000:  # as a column is read at once, to the last microsecond
        microseconds = int(float(f"{digits}.{fraction or 0}") * (1_000_000 / per_second))
    else:
        microseconds = int(digits) * 1_000_000 // per_second
    return Cell(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds), signs=(sign, Sign.OTHER_TIME))


_UNITS = (
    (11, 1, Sign.SECONDS),
    (14, 1000, Sign.MILLISECONDS),
    (17, 1_000_000, Sign.MICROSECONDS),
    (20, 1_000_000_000, Sign.NANOSECONDS),
)
"""Most digits of an epoch, how many of its units a second has, and what it says."""


def _calendar_digits(body: str) -> Cell[datetime] | None:
    """Read 20240531, 20240531140500 and 20240531T140500Z; None when the digits are no date."""
    found = _CALENDAR_DIGITS.fullmatch(body)
    if found is None:
        return None
    year, month, day, hour, minute, second, zone = found.groups()
    rest = re.fullmatch(_ZONE, zone, re.IGNORECASE | re.ASCII)
    if rest is None or (hour and not second and "T" not in body):  # 202405311405 may be an epoch
        return None
    try:
        time = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError:
        return None
    offset = _offset(rest)
    if offset is None:
        return None
    return Cell(time - offset, notes=("time_form",), signs=(Sign.OTHER_TIME,))


def _written_out(body: str, decision: ColumnDecision) -> Cell[datetime] | None:
    for form in _FORMS:
        if found := form.fullmatch(body):
            return _of_parts(found, decision)
    return None


def _of_parts(found: re.Match[str], decision: ColumnDecision) -> Cell[datetime] | None:
    parts = found.groupdict()
    offset, clock = _offset(found), _clock(parts)
    if offset is None or clock is None:
        return None
    signs: tuple[Sign, ...] = ()
    notes: tuple[str, ...] = ("time_form",)
    if "first" in parts:
        order, signs = _order(int(parts["first"]), int(parts["second_part"]))
        if order is None:
            order = decision.date_order
        if order is None and parts["between"] == ".":
            order, notes = "day_first", ("time_form", "day_first_assumed")
        if order is None:
            return Cell(problem="ambiguous_date", signs=(*signs, Sign.OTHER_TIME))
        day, month = (parts["first"], parts["second_part"])[:: 1 if order == "day_first" else -1]
    else:
        day = parts["day"]
        month = parts.get("month") or _MONTHS.get(parts["name"].lower())
        if month is None:
            return None
    time = datetime(int(parts["year"]), int(month), int(day), tzinfo=UTC) + clock - offset
    return Cell(time, notes=notes, signs=(*signs, Sign.OTHER_TIME))


def _order(first: int, second: int) -> tuple[Literal["day_first", "month_first"] | None, tuple[Sign, ...]]:
    """The order of two numbers of a date, where they say it, and what they say."""
    if first == second:
        return "day_first", ()
    if first > 12:
        return "day_first", (Sign.DAY_FIRST,)
    if second > 12:
        return "month_first", (Sign.MONTH_FIRST,)
    return None, (Sign.DAY_OR_MONTH,)


def _clock(parts: Mapping[str, str | None]) -> timedelta | None:
    """The time of day; None for one that no clock shows."""
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    if half := parts["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    fraction = int((parts["fraction"] or "0").ljust(6, "0")[:6])
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction)


def _offset(found: re.Match[str]) -> timedelta | None:
    """How far east of UTC a time was written; None for a zone that is not known."""
    east = _ZONES.get((found["zone"] or "UTC").upper())
    if east is None:
        return None
    hours, minutes = int(found["hours"] or 0), int(found["minutes"] or 0)
    if hours > 14:
        return None
    further = timedelta(hours=hours, minutes=minutes)
    return timedelta(hours=east) + (-further if found["sign"] == "-" else further)


def _other(body: str, decision: ColumnDecision) -> Cell[datetime]:
    if _EXCEL_DAYS.fullmatch(body):
        if not decision.excel_days:
            return Cell(problem="not_a_time", signs=(Sign.EXCEL_DAYS,))
        seconds = round(float(body) * 86_400)
        return Cell(_EXCEL_EPOCH + timedelta(seconds=seconds), notes=("excel_days",), signs=(Sign.EXCEL_DAYS,))
    return Cell(problem="two_digit_year" if _TWO_DIGIT_YEAR.fullmatch(body) else "not_a_time")


def read_times(text: pl.Series, spec: ColumnSpec, decision: ColumnDecision, *, strict: bool) -> ReadColumn:
    """Read a column of times (String)."""
    text = clean_text(text) if strict else text
    values, units = _plain(text, strict=strict)
    text = empty_to_null(text, values)
    odd = values.is_null() & text.is_not_null()
    if strict:
        return ReadColumn(text, values)
    if values.null_count() < len(values):
        units[Sign.OTHER_TIME] = Seen(1)
    if not odd.any():
        return ReadColumn(text, values, signs=units)
    normalise = partial(normalise_time, decision=decision)
    dated = _dates_with_clocks(text, values, odd, normalise, spec.name)
    if not dated.left.any():
        return replace(dated.read, signs=added(units, dated.read.signs))
    rest = read_cells(text, dated.read.values, dated.left, normalise, spec.name)
    return together(dated.read, rest, dated.left, signs=units)


class _Dated(NamedTuple):
    """What was read of dates with a time of day behind them, and which odd cells are `left` (Boolean, one per row)."""

    read: ReadColumn
    left: pl.Series


def _dates_with_clocks(
    text: pl.Series, values: pl.Series, odd: pl.Series, normalise: Callable[[str], Cell[datetime]], column: str
) -> _Dated:
    """Read `31.12.2024 14:05:07` as its date and its time of day: times hardly repeat, and days do."""
    chosen = odd & text.str.contains(_DATE_AND_CLOCK)
    if not chosen.any():
        return _Dated(ReadColumn(text, values), odd)
    parts = text.filter(chosen).str.extract_groups(_DATE_AND_CLOCK).struct
    dates = parts.field("date")
    usable = {date for date in dates.unique() if (cell := normalise(date)).value or cell.problem == "ambiguous_date"}
    clean = dates.is_in(list(usable))
    chosen = placed(chosen, chosen.arg_true(), clean)
    if not usable:
        return _Dated(ReadColumn(text, values), odd)
    dates = placed(text, chosen.arg_true(), dates.filter(clean))
    read = read_cells(dates, values, chosen, normalise, column)
    clock = (
        parts.field("hour").cast(pl.Int64) * 3600
        + parts.field("minute").cast(pl.Int64) * 60
        + parts.field("second").cast(pl.Int64).fill_null(0)
    ).filter(clean)
    found = read.values.filter(chosen) + (clock * 1_000_000).cast(pl.Duration("us"))
    return _Dated(replace(read, text=text, values=placed(read.values, chosen.arg_true(), found)), odd & ~chosen)


def _plain(text: pl.Series, *, strict: bool) -> tuple[pl.Series, dict[Sign, Seen]]:
    """Read ISO 8601 and epochs as UTC with microseconds; also how many epochs of each unit there are.

    With `strict` epochs are seconds or milliseconds. 14 digits are rather a date and time than milliseconds of the
    23rd century, and are left.
    """
    # cache=False: times hardly repeat, and looking each one up costs more than reading it
    parsed = text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False, cache=False)
    units: dict[Sign, Seen] = {}
    if parsed.null_count() > text.null_count():
        left = parsed.is_null() & text.is_not_null()
        others, units = _other_forms(text.filter(left), strict=strict)
        parsed = parsed.scatter(left.arg_true(), others)
    outside = ~parsed.is_between(_FIRST_TIME, _LAST_TIME)
    parsed = parsed.set(outside, None) if outside.any() else parsed
    return parsed.dt.replace_time_zone("UTC").cast(TIME), units


def _other_forms(text: pl.Series, *, strict: bool) -> tuple[pl.Series, dict[Sign, Seen]]:
    """Read any form that is read at once; naive Datetime('us') in UTC."""
    times, units = _epochs(text, strict=strict)
    left = times.is_null()
    if not left.any():
        return times, units
    return times.scatter(left.arg_true(), _iso_times(text.filter(left))), units


def _epochs(text: pl.Series, *, strict: bool) -> tuple[pl.Series, dict[Sign, Seen]]:
    times = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    units: dict[Sign, Seen] = {}
    for sign, form, microseconds in _EPOCHS[: 2 if strict else None]:
        rows = text.str.contains(form)
        if rows.any():
            cells = text.filter(rows)
            times = times.scatter(rows.arg_true(), microseconds(cells).cast(pl.Datetime("us")))
            units[sign] = Seen(len(cells), (cells[0],))
    return times, units


_EPOCHS: tuple[tuple[Sign, str, Callable[[pl.Series], pl.Series]], ...] = (
    (Sign.SECONDS, r"^[0-9]{9,11}(?:\.[0-9]+)?$", lambda text: (text.cast(pl.Float64) * 1e6).cast(pl.Int64)),
    (Sign.MILLISECONDS, r"^[0-9]{12,13}(?:\.[0-9]+)?$", lambda text: (text.cast(pl.Float64) * 1e3).cast(pl.Int64)),
    (Sign.MICROSECONDS, r"^[0-9]{15,17}$", lambda text: text.cast(pl.Int64)),
    (Sign.NANOSECONDS, r"^[0-8][0-9]{17,18}$", lambda text: text.cast(pl.Int64) // 1000),
)
"""How epochs are read at once, by their number of digits; the first two have always been read."""


def _iso_times(text: pl.Series) -> pl.Series:
    part = pl.col("part").struct.field
    iso = pl.concat_str(
        part("date"), pl.lit("T"), part("clock").fill_null("00:00"), pl.lit(":"), _or(part("second"), "00")
    ).str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    fraction = _or(part("fraction"), "0").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)
    minutes = _or(part("hours"), "0").cast(pl.Int64) * 60 + _or(part("minutes"), "0").cast(pl.Int64)
    east = pl.when(part("sign") == "-").then(-minutes).otherwise(minutes)
    return (
        text.alias("text")
        .to_frame()
        .with_columns(part=pl.col("text").str.extract_groups(_ISO))
        .select(iso + pl.duration(microseconds=fraction) - pl.duration(minutes=east))
        .to_series()
    )


def _or(text: pl.Expr, default: str) -> pl.Expr:
    return text.fill_null(default)

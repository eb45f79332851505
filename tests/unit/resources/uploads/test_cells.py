"""Cells of every type: one alone and a column of them are read alike, and what was read before is read as before."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.tenants.settings import IGNORE, FileMapping, TenantSettings
from resources.uploads.contract.columns import ColumnSpec, Kind, ValueType, columns
from resources.uploads.normalising.booleans import normalise_boolean
from resources.uploads.normalising.cells import Cell, ReadColumn
from resources.uploads.normalising.columns import Reading, read_column
from resources.uploads.normalising.decisions import UNDECIDED, ColumnDecision, Decisions, decide_columns
from resources.uploads.normalising.evidence import NO_EVIDENCE, Evidence, Seen, Sign, add_evidence
from resources.uploads.normalising.numbers import normalise_number
from resources.uploads.normalising.texts import normalise_category, normalise_text
from resources.uploads.normalising.times import normalise_time
from resources.uploads.normalising.type_names import SYNONYMS, TypeNames, normalise_type_name

SPECS = {f"{kind.value}.{spec.name}": spec for kind in (Kind.ITEMS, Kind.INTERACTIONS) for spec in columns(kind)}
QUANTITY, PRICE, TIME = SPECS["interactions.quantity"], SPECS["items.price"], SPECS["interactions.timestamp"]
CREATED, AVAILABLE, TYPE = SPECS["items.created_at"], SPECS["items.available"], SPECS["interactions.interaction_type"]
TITLE, BRAND, CATEGORY = SPECS["items.title"], SPECS["items.brand"], SPECS["items.category"]
NAMES = TypeNames.of(TenantSettings(interaction_types={"Gekauft": "purchase", "wegwerfen": "ignore", "buy": "click"}))

DIGITS = st.integers(0, 99999).map(str)
PLAIN_NUMBERS = st.builds(
    lambda sign, whole, point, exponent: f"{sign}{whole}{point}{exponent}",
    st.sampled_from(["", "", "+", "-"]), DIGITS, st.sampled_from(["", ".", ".5", ".25", ".000", ".299"]),
    st.sampled_from(["", "", "e3", "E+2", "e-1"]),
)  # fmt: skip
ODD_NUMBERS = st.builds(
    lambda before, body, behind: before + body + behind,
    st.sampled_from(["", "", " ", "$", "€ ", "CHF", "-", "(", "'"]),
    st.from_regex(re.compile(r"[0-9]{1,4}([.,' ][0-9]{1,3}){0,3}", re.ASCII), fullmatch=True),
    st.sampled_from(["", "", " EUR", "%", "-", ")", ",-", "kr"]),
)
NOTHING = st.sampled_from(["", "  ", "NULL", "n/a", "-", "nan", "NaN", "None", r"\N"])
NUMBERS = st.one_of(PLAIN_NUMBERS, ODD_NUMBERS, NOTHING, st.sampled_from(["inf", "x", "10-20", "from 5", "1_000", "."]))
PLAIN_TIMES = st.builds(
    lambda time, form, zone: time.strftime(form) + zone,
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"]),
    st.sampled_from(["", "Z", "z", "+02", "-0330", "+05:45", " UTC", " +01:00"]),
) | st.builds(
    lambda number, fraction: f"{number}{fraction}",
    st.integers(10**8, 10**11 - 1) | st.integers(10**11, 10**13 - 1),
    st.sampled_from(["", "", ".5", ".123456"]),
)
ODD_TIMES = st.builds(
    lambda time, form, zone: time.strftime(form) + zone,
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from([
        "%d/%m/%Y", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y/%m/%d %H:%M:%S", "%m-%d-%Y",
        "%Y/%m/%d", "%Y%m%d", "%Y%m%d%H%M%S",
        "%b %d, %Y", "%d-%b-%Y %I:%M %p", "%a, %d %b %Y %H:%M:%S", "%Y-%m-%d %H:%M:%S GMT", "%d/%m/%y",
    ]),
    st.sampled_from(["", "", " +0200", " EST", "x"]),
)  # fmt: skip
OTHER_TIMES = st.sampled_from(
    [
        "0",
        "0000-00-00 05:00",
        "3/4/2024 9:05",
        "31.2.2024 10:00",
        "1.2.24 3:04",
        "0000-00-00 00:00:00",
        "45443.58",
        "1.7171643E9",
        "1.7E9",
        "soon",
        "2024-02-30",
    ]
)
TIMES = st.one_of(
    PLAIN_TIMES, ODD_TIMES, OTHER_TIMES, NOTHING, st.integers(10**13, 10**20 - 1).map(str), st.just("31/12/2024")
)
BOOLEANS = st.sampled_from(
    ["true", "TRUE", "1", "no", "t", " F ", "in stock", "Sold-Out", "ja", "maybe", "", "null", "12", "-3"]
)
TYPES = st.sampled_from(["view", "View", " PURCHASE", "addToCart", "gekauft", "wegwerfen", "buy", "zap", "", "NULL"])
TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "None", "NULL", "Nan", "a > b", "a>b >", "›x", "\u200bz\ufeff", "Cafe\u0301", "\u00a0é "]
    ),
    st.text(max_size=6),
)
DECISIONS = st.builds(
    ColumnDecision,
    decimal=st.sampled_from([None, ".", ","]),
    date_order=st.sampled_from([None, "day_first", "month_first"]),
    excel_days=st.booleans(),
)
CELLS = {QUANTITY: NUMBERS, PRICE: NUMBERS, TIME: TIMES, CREATED: TIMES, AVAILABLE: BOOLEANS, TYPE: TYPES}
CELLS |= {TITLE: TEXTS, BRAND: TEXTS, CATEGORY: TEXTS}


def one(text: str, spec: ColumnSpec, decision: ColumnDecision = UNDECIDED) -> Cell[Any]:
    """A cell read alone."""
    match spec.value_type:
        case ValueType.NUMBER | ValueType.MONEY:
            return normalise_number(text, decision, money=spec.value_type is ValueType.MONEY)
        case ValueType.TIME:
            return normalise_time(text, decision)
        case ValueType.BOOLEAN:
            return normalise_boolean(text, spec)
        case ValueType.INTERACTION_TYPE:
            return normalise_type_name(text, NAMES)
        case _:
            return normalise_text(text, spec)


def column(cells: list[str], spec: ColumnSpec, decision: ColumnDecision = UNDECIDED) -> ReadColumn:
    """Cells read as one column."""
    reading = Reading(Kind.ITEMS, NAMES, decisions=Decisions({spec.name: decision}))
    return read_column(pl.Series("cells", cells, dtype=pl.String), spec, reading)


@given(data=st.data(), decision=DECISIONS, spec=st.sampled_from(list(CELLS)))
@settings(deadline=None, max_examples=150)
def test_a_column_is_read_as_its_cells_are(data: st.DataObject, decision: ColumnDecision, spec: ColumnSpec) -> None:
    cells = data.draw(st.lists(CELLS[spec], min_size=1, max_size=12))
    read = column(cells, spec, decision)
    alone = [one(text, spec, decision) for text in cells]
    assert read.values.to_list() == [cell.value for cell in alone]
    problems = [None] * len(cells) if read.problems is None else read.problems.to_list()
    assert problems == [cell.problem for cell in alone]
    empty = [cell.value is None and cell.problem is None for cell in alone]
    assert [text is None for text in read.text] == empty
    assert sum(each.count for each in read.unread) == sum(problem is not None for problem in problems)


@given(data=st.data(), spec=st.sampled_from([QUANTITY, PRICE, TIME, CREATED]))
@settings(deadline=None, max_examples=80)
def test_evidence_depends_on_the_text_alone_and_decides_for_good(data: st.DataObject, spec: ColumnSpec) -> None:
    cells = data.draw(st.lists(CELLS[spec], min_size=1, max_size=12))
    first = Evidence({spec.name: column(cells, spec).signs})
    decisions = decide_columns(first)
    again = Evidence({spec.name: column(cells, spec, decisions.of(spec.name)).signs})
    assert counts(first) == counts(again)
    assert decide_columns(again) == decisions
    cut = data.draw(st.integers(0, len(cells)))
    parts = [Evidence({spec.name: column(part, spec).signs}) for part in (cells[:cut], cells[cut:]) if part]
    together = add_evidence(parts)
    assert decide_columns(together) == decisions


@given(data=st.data(), spec=st.sampled_from(list(CELLS)))
@settings(deadline=None, max_examples=80)
def test_what_was_read_is_read_again_as_the_same(data: st.DataObject, spec: ColumnSpec) -> None:
    cell = one(data.draw(CELLS[spec]), spec)
    if cell.value in (None, IGNORE):  # such rows are stored nowhere
        return
    written = cell.value.isoformat() if isinstance(cell.value, datetime) else str(cell.value)
    assert one(written, spec).value == cell.value
    assert column([written], spec).values.to_list() == [cell.value]


def counts(evidence: Evidence) -> dict[str, dict[Sign, int]]:
    return {name: {sign: seen.count for sign, seen in signs.items()} for name, signs in evidence.columns.items()}


# What the contract took before it took more: a grammar of its own, without the normalisers.
_OLD_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OLD_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r" ?(?:[Zz]|UTC|([+-])(0\d|1[0-4]):?([0-5]\d)?)?",
    re.ASCII,
)


def old_time(text: str) -> datetime | None:
    if re.fullmatch(r"[0-9]{9,13}(\.[0-9]+)?", text):
        per_second = 1 if len(text.split(".")[0]) < 12 else 1000
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(float(text) * (1_000_000 / per_second)))
    found = _OLD_TIME.fullmatch(text)
    if found is None:
        return None
    date, clock, second, fraction, sign, hours, minutes = found.groups()
    time = datetime.fromisoformat(f"{date}T{clock or '00:00'}:{second or '00'}+00:00")
    east = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    return time + timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6])) - east


@given(text=PLAIN_NUMBERS)
@settings(deadline=None)
def test_a_plain_number_is_what_it_always_was(text: str) -> None:
    assert _OLD_NUMBER.fullmatch(text)
    for spec in (QUANTITY, PRICE):
        assert one(text, spec).value == float(text)
        assert column([text, " 7", "x"], spec).values.to_list() == [float(text), 7.0, None]


@given(text=PLAIN_TIMES)
@settings(deadline=None)
def test_a_plain_time_is_what_it_always_was(text: str) -> None:
    expected = old_time(text)
    assert expected is not None
    assert one(text, TIME).value == expected
    assert column([text, f" {text} ", "x"], TIME).values.to_list() == [expected, expected, None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("19,99", 19.99), ("1.249,00", 1249.0), ("1,299.00", 1299.0), ("1 299.00", 1299.0), ("1'299.00", 1299.0),
        ("1\u00a0299,5", 1299.5), ("1\u202f299", 1299.0), ("$19.99", 19.99), ("19.99 EUR", 19.99), ("-$5", -5.0),
        ("CHF 19.-", 19.0), ("19,- kr", 19.0), ("US$1,299.00", 1299.0), ("€1.299,00", 1299.0), ("$19.99 USD", 19.99),
        ("(5.00)", -5.0), ("1-", -1.0), ("−3", -3.0), ("٣٫٥", 3.5), ("１９９", 199.0), ("1,23,456.00", 123456.0),
        ("1.299.000", 1299000.0), ('="19.5"', 19.5), ("'19.5", 19.5), ("1.299", 1.299),
        ("1,299", None), ("$1.299", None), ("10-20", None), ("from 10", None), ("ab 10", None), ("10;20", None),
        ("1_000", None), ("15%", None), ("4/5", None), ("1.2.3", None), ("12,34,5", None), ("1e999", None),
        ("5" * 200, None),
    ],
)  # fmt: skip
def test_prices_of_shops(text: str, value: float | None) -> None:
    cell = one(text, PRICE)
    assert cell.value == value
    assert (cell.problem is None) == (value is not None)


@pytest.mark.parametrize(
    ("text", "currency"),
    [("19.99 EUR", "EUR"), ("eur 5", "EUR"), ("$5", "$"), ("$5 CAD", "CAD"), ("5 zł", "zł"), ("5", None)],
)
def test_a_currency_is_kept(text: str, currency: str | None) -> None:
    assert one(text, PRICE).currency == currency
    read = column([text, "7"], PRICE)
    assert (None if read.currency is None else read.currency.to_list()) == (
        None if currency is None else [currency, None]
    )


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("31/12/2024 14:05", "2024-12-31T14:05"), ("12/31/2024 2:05 PM", "2024-12-31T14:05"),
        ("2024-05-31 12:00:00 AM", "2024-05-31T00:00"), ("31.12.2024", "2024-12-31"), ("2024/12/31", "2024-12-31"),
        ("2024-5-3 9:05", "2024-05-03T09:05"), ("20241231", "2024-12-31"), ("20240531140500", "2024-05-31T14:05"),
        ("20231029T025935Z", "2023-10-29T02:59:35"), ("Dec 31, 2024", "2024-12-31"), ("31. May 2024", "2024-05-31"),
        ("2024-12-31 14:05:00 GMT", "2024-12-31T14:05"), ("2024-12-31T14:05:00+0100", "2024-12-31T13:05"),
        ("Fri, 31 May 2024 14:05:00 +0200", "2024-05-31T12:05"), ("2024-05-31 14:05:00 EST", "2024-05-31T19:05"),
        ("Fri May 31 2024 14:05:00 GMT+0200 (CEST)", "2024-05-31T12:05"), ("5/5/2024", "2024-05-05"),
        ("2024-05-31T14:05:00+02:00[Europe/Berlin]", "2024-05-31T12:05"), ("03.04.2024", "2024-04-03"),
        ("1717164300", "2024-05-31T14:05"), ("1717164300123456", "2024-05-31T14:05:00.123456"),
        ("1717164300123456789", "2024-05-31T14:05:00.123456"), ("1.7171643E9", "2024-05-31T14:05"),
    ],
)  # fmt: skip
def test_times_of_shops(text: str, utc: str) -> None:
    assert one(text, TIME).value == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("03/04/2024", "ambiguous_date"), ("31/12/24", "two_digit_year"), ("1.71716E+12", "lost_digits"),
        ("45443.58", "not_a_time"), ("2024-02-30", "not_a_time"), ("14:05", "not_a_time"), ("-5", "not_a_time"),
        ("2024-05-31 25:00", "not_a_time"), ("31/13/2024", "not_a_time"), ("2024-05-31 14:05 XYZ", "not_a_time"),
        ("0001-01-01T00:00:00+14:00", "not_a_time"), ("9999-12-31T23:59:59-14:00", "not_a_time"),
        ("9" * 200, "not_a_time"),
    ],
)  # fmt: skip
def test_times_that_are_none_or_could_be_two(text: str, problem: str) -> None:
    assert one(text, TIME).problem == problem
    assert column([text], TIME).values.to_list() == [None]


def test_a_column_decides_what_its_cells_could_mean() -> None:
    def decided(cells: list[str], spec: ColumnSpec, mapping: FileMapping | None = None) -> list[Any]:
        decision = decide_columns(Evidence({spec.name: column(cells, spec).signs}), mapping).of(spec.name)
        return column(cells, spec, decision).values.to_list()

    assert decided(["1.299", "19,99"], PRICE) == [1299.0, 19.99]
    assert decided(["1,299", "19.99"], PRICE) == [1299.0, 19.99]
    assert decided(["1,299", "7"], PRICE) == [None, 7.0]
    assert decided(["1,299", "19,99", "19.99"], PRICE) == [None, 19.99, 19.99]
    assert decided(["1,299", "7"], PRICE, FileMapping(decimal=",")) == [1.299, 7.0]
    days = [datetime(2024, 4, 3, tzinfo=UTC), datetime(2024, 3, 4, tzinfo=UTC)]
    assert decided(["03/04/2024", "31/12/2024"], TIME)[0] == days[0]
    assert decided(["03/04/2024", "12/31/2024"], TIME)[0] == days[1]
    assert decided(["03/04/2024", "12/31/2024", "31/12/2024"], TIME)[0] is None
    assert decided(["03/04/2024"], TIME, FileMapping(date_order="month_first")) == [days[1]]
    assert decided(["45443.5", "45444", ""], CREATED) == [
        datetime(2024, 5, 31, 12, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC), None,
    ]  # fmt: skip
    assert decided(["45443.5", "2024-05-31"], CREATED)[0] is None


def test_the_other_columns_of_a_file_say_which_sign_stands_before_decimals() -> None:
    evidence = Evidence({"price": {Sign.POINT_OR_GROUPS: Seen(1)}, "rating": {Sign.COMMA: Seen(2)}})
    assert decide_columns(evidence).of("price").decimal == ","
    assert decide_columns(NO_EVIDENCE, FileMapping(decimal=",")).of("anything").decimal == ","


def test_names_of_types() -> None:
    known = {"Add-To-Cart": "add_to_cart", "addToCart": "add_to_cart", "Product Viewed": "view", "buy": "click"}
    known |= {"order completed": "purchase", "WEG werfen": "ignore", "cart": "add_to_cart", "add_to_wishlist": "like"}
    assert {name: NAMES.find(name) for name in known} == known
    assert [NAMES.find(name) for name in ("remove_from_cart", "impression", "checkout", "zap")] == [None] * 4
    words = [word for words in SYNONYMS.values() for word in words]
    assert len(words) == len({re.sub("[ _-]", "", word) for word in words})


def test_unknown_and_mapped_names_are_counted() -> None:
    read = column(["view", "cart", "zap", "zap", "Cart ", "boo"], TYPE)
    assert read.unknown_types == {"zap": 2, "boo": 1}
    assert read.mapped_types == {"cart → add_to_cart": 1, "Cart → add_to_cart": 1}


def test_pieces_in_stock_say_whether_an_item_is_available() -> None:
    available, deleted = SPECS["items.available"], SPECS["items.deleted"]
    assert column(["12", "0", "-3", "2.0", "1e9"], available).values.to_list() == [True, False, False, True, None]
    assert column(["12", "-3"], deleted).values.to_list() == [None, None]


def test_texts() -> None:
    assert column([" \u200bCafe\u0301\ufeff", "Nil", "None"], TITLE).values.to_list() == ["Café", "Nil", None]
    assert column(["Acme", "None", "-"], BRAND).values.to_list() == ["Acme", None, None]
    assert [normalise_category(text) for text in ("a>b", "a » b ›", "a/b", "> ")] == ["a > b", "a > b", "a/b", ""]

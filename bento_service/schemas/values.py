"""Values in bodies as shops write them, read as in files: `"19,99 EUR"`, `1717164300123456`, `"in stock"`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from resources.base.times import in_utc
from resources.uploads.contract.columns import Kind, columns
from resources.uploads.normalising.booleans import normalise_boolean
from resources.uploads.normalising.cells import Cell
from resources.uploads.normalising.numbers import normalise_number
from resources.uploads.normalising.times import normalise_time
from resources.uploads.parsing.validation import PROBLEMS

_BOOLEANS = {spec.name: spec for spec in columns(Kind.ITEMS)}
_LEAST_EPOCH = 10**8
"""Smaller numbers are no time that anybody means."""


def _read(cell: Cell[Any], value: Any) -> Any:
    """The value of a cell; what is no number, time or boolean in any form is left to be refused as such."""
    if cell.problem in ("not_a_number", "not_a_time", "not_a_boolean"):
        return value
    if cell.problem is not None:
        raise ValueError(PROBLEMS[cell.problem])
    return cell.value


def _number(value: Any) -> Any:
    return _read(normalise_number(value), value) if isinstance(value, str) else value


def _money(value: Any) -> Any:
    return _read(normalise_number(value, money=True), value) if isinstance(value, str) else value


def _time(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and _LEAST_EPOCH <= value < 10**20:
        written = f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        return _read(normalise_time(written), value)
    return _read(normalise_time(value), value) if isinstance(value, str) else value


def _time_of_event(value: Any) -> Any:
    read = _time(value)
    if read is None and isinstance(value, str) and value.strip():
        raise ValueError("says no time: leave it out, and the event is of now")
    return read


def _available(value: Any) -> Any:
    return _read(normalise_boolean(value, _BOOLEANS["available"]), value) if isinstance(value, str) else value


def _deleted(value: Any) -> Any:
    return _read(normalise_boolean(value, _BOOLEANS["deleted"]), value) if isinstance(value, str) else value


_Moment = Annotated[datetime, AfterValidator(in_utc)] | None
Number = Annotated[float | None, BeforeValidator(_number)]
Amount = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_number)]
Price = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_money)]
AnyPrice = Annotated[float | None, BeforeValidator(_money)]
"""A price whose sign somebody else looks at."""
Moment = Annotated[_Moment, BeforeValidator(_time)]
EventTime = Annotated[_Moment, BeforeValidator(_time_of_event)]
"""When something happened; a word for no time is none, since an event without a time is of now."""
Available = Annotated[bool | None, BeforeValidator(_available)]
Deleted = Annotated[bool, BeforeValidator(_deleted)]

"""The price list of an installation."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from resources.base.errors import ConfigurationError, FieldProblem

SETTING = "RECSAAS_PRICES"
Unit = Literal[
    "calls",
    "recommended_items",
    "events",
    "uploaded_rows",
    "training_minutes",
    "cpu_minutes",
    "stored_gigabytes",
]


class UnitPrice(BaseModel):
    """The price of one unit: `price` for each `per` of it, beyond the first `free` of a month."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Unit
    price: Decimal = Field(ge=0, allow_inf_nan=False)
    per: Decimal = Field(default=Decimal(1), gt=0, allow_inf_nan=False)
    free: Decimal = Field(default=Decimal(0), ge=0, allow_inf_nan=False)


class PriceList(BaseModel):
    """All prices. `decimals` of the currency's amounts; `monthly` is due whatever is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field(pattern="^[A-Z]{3}$")
    decimals: int = Field(default=2, ge=0, le=4)
    monthly: Decimal = Field(default=Decimal(0), ge=0, allow_inf_nan=False)
    prices: tuple[UnitPrice, ...] = ()

    @field_validator("prices")
    @classmethod
    def _once(cls, prices: tuple[UnitPrice, ...]) -> tuple[UnitPrice, ...]:
        units = [price.unit for price in prices]
        if len(set(units)) != len(units):
            raise ValueError("a unit has two prices")
        return prices


def read_prices(setting: str) -> PriceList | None:
    """Return the price list that the setting holds, as JSON or as the path of a TOML or JSON file; None without one.

    Raises:
        ConfigurationError: it cannot be read, or is not a price list.
    """
    if not setting.strip():
        return None
    try:
        return PriceList.model_validate(_fields(setting.strip()))
    except ValidationError as error:
        problems = tuple(
            FieldProblem(".".join(str(part) for part in each["loc"]) or "prices", each["msg"])
            for each in error.errors()
        )
        listed = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
        raise ConfigurationError(
            f"{SETTING} is not a price list. {listed}. See docs/usage.md.", details=problems
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{SETTING} cannot be read: {error}. See docs/usage.md.") from error


def _fields(text: str) -> Any:
    """Numbers become decimals as they are written: 0.1 is a tenth."""
    if text.startswith("{"):
        return json.loads(text, parse_float=Decimal)
    content = Path(text).read_text(encoding="utf-8")
    if text.endswith(".toml"):
        return tomllib.loads(content, parse_float=Decimal)
    return json.loads(content, parse_float=Decimal)

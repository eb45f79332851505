"""A plan: what a shop on it may use, what it costs, and what happens when a limit is reached. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from resources.base.client_input import ClientInput

Meter = Literal["calls", "events", "training_minutes", "rows", "items", "users", "storage_bytes", "seats"]
METERS: tuple[Meter, ...] = get_args(Meter)
"""What is counted against a limit."""
MONTHLY: frozenset[Meter] = frozenset({"calls", "events", "training_minutes"})
"""Meters that begin anew with each UTC month; of the others counts what there is."""
Feature = Literal["two_tower", "search", "second_stage", "experiments", "sso"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
AtLimit = Literal["refuse", "wait", "bill"]
"""What happens at 100 %: `refuse` until there is a larger plan (402), `wait` for the next month (429), or go on, and
`bill` it by the price list."""
DEFAULT_PLAN = "unlimited"
"""The plan of tenants that were never put on one."""
WORDS: Mapping[Meter, str] = MappingProxyType(
    {
        "calls": "calls a month",
        "events": "events a month",
        "training_minutes": "minutes of training a month",
        "rows": "uploaded rows",
        "items": "items",
        "users": "users",
        "storage_bytes": "bytes of storage",
        "seats": "members and open invitations",
    }
)
"""Meters in messages."""
PlanId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")]
_Amount = Annotated[int | None, Field(ge=0, le=2**53)]


class PlanLimits(ClientInput):
    """The most of everything; None is any number.

    Attributes:
        requests_per_second: of a tenant, all workers together; None: what the installation allows.
    """

    requests_per_second: Annotated[float | None, Field(gt=0, le=1_000_000)] = None
    calls: _Amount = None
    events: _Amount = None
    training_minutes: _Amount = None
    rows: _Amount = None
    items: _Amount = None
    users: _Amount = None
    storage_bytes: _Amount = None
    seats: _Amount = None

    def of(self, meter: Meter) -> int | None:
        """The limit of a meter."""
        amount: int | None = getattr(self, meter)
        return amount


class Plan(BaseModel):
    """One plan.

    Attributes:
        price: as people read it: `49 € a month`.
        features: None: all of them.
        at_limit: by meter; one that is not named refuses.
        offered: whether shops see it where they ask for another plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: PlanId
    name: Annotated[str, Field(min_length=1, max_length=200)]
    price: Annotated[str, Field(max_length=200)] = ""
    limits: PlanLimits = PlanLimits()
    features: tuple[Feature, ...] | None = None
    at_limit: dict[Meter, AtLimit] = Field(default_factory=dict)
    offered: bool = True

    @model_validator(mode="after")
    def _waiting_ends(self) -> Plan:
        if wrong := [name for name, what in self.at_limit.items() if what == "wait" and name not in MONTHLY]:
            raise ValueError(f"{', '.join(wrong)}: only what begins anew each month can wait for it")
        return self

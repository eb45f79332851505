"""Bodies of the routes about plans, limits and what is used of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from bento_service.schemas.common import Answer, Body, PlainText
from resources.plans.allowances import Allowance
from resources.plans.assigned import MAX_REASON, Override
from resources.plans.effects import Effect
from resources.plans.model import FEATURES, AtLimit, Feature, Meter, Plan, PlanLimits
from resources.plans.use import MeterUse


class PlanBody(Body):
    """A plan as it is to be, whole: a limit that is left out is none."""

    name: Annotated[PlainText, Field(min_length=1, max_length=200)]
    price: Annotated[PlainText, Field(max_length=200, description="As people read it.")] = ""
    limits: PlanLimits = PlanLimits()
    features: Annotated[tuple[Feature, ...], Field(max_length=20)] | None = Field(
        default=None, description="What it has; null: everything."
    )
    at_limit: dict[Meter, AtLimit] = Field(
        default_factory=dict, description="What happens at 100 %, by limit; one that is not named refuses."
    )
    offered: bool = Field(default=True, description="Whether shops are shown it.")


class PlanChoice(Body):
    """The plan that a tenant is put on."""

    plan: Annotated[PlainText, Field(min_length=1, max_length=64)]


class PlanWish(Body):
    """The plan that a shop asks for."""

    plan: Annotated[PlainText, Field(min_length=1, max_length=64)]
    note: Annotated[PlainText, Field(max_length=2000, description="What it is for; people read it.")] = ""


class OverrideBody(Body):
    """One limit of a tenant that is another than its plan's."""

    amount: Annotated[float | None, Field(ge=0, le=2**53)] = Field(description="null: any number.")
    reason: Annotated[PlainText, Field(min_length=1, max_length=MAX_REASON)]
    ends_at: AwareDatetime | None = Field(default=None, description="Until when it holds; null: until it is removed.")


class MeterAnswer(Answer):
    """One limit and what is used of it.

    `limit` null: any number. `as_of`: the day of the sample, of what is counted once a day. `forecast`: what it will be
    at the end of the month; `full_at`: when the limit will be reached. `exception`: the limit is not the plan's.
    """

    meter: Meter
    used: int
    limit: int | None
    percent: float | None
    at_limit: AtLimit
    as_of: date | None
    forecast: int | None
    full_at: datetime | None
    exception: bool

    @classmethod
    def of(cls, use: MeterUse, allowance: Allowance) -> MeterAnswer:
        """Show what is used."""
        return cls(
            meter=use.meter,
            used=use.used,
            limit=use.amount,
            percent=use.percent,
            at_limit=allowance.at_limit(use.meter),
            as_of=use.as_of,
            forecast=use.forecast,
            full_at=use.full_at,
            exception=use.meter in allowance.overridden,
        )


class PlanAnswer(Answer):
    """A plan."""

    id: str
    name: str
    price: str
    limits: PlanLimits
    features: tuple[Feature, ...]
    at_limit: dict[Meter, AtLimit]
    offered: bool
    tenants: int | None = Field(default=None, description="How many are on it; only the office sees that.")

    @classmethod
    def of(cls, plan: Plan, *, tenants: int | None = None) -> PlanAnswer:
        """Show a plan."""
        return cls(**plan.model_dump(exclude={"features"}), features=plan.features or FEATURES, tenants=tenants)


class Wish(Answer):
    """What was asked for, and not answered yet."""

    plan: str
    note: str
    asked_by: str
    asked_at: datetime


class PlanUse(Answer):
    """The plan of a tenant, its limits and what is used of them in this month (UTC).

    `requests_per_second` null: what the installation allows. `warnings` name the limits of which 80 % or more is used.
    """

    plan: PlanAnswer
    month: str
    month_ends_at: datetime
    requests_per_second: float | None
    meters: tuple[MeterAnswer, ...]
    warnings: tuple[str, ...]
    request: Wish | None
    offered: tuple[PlanAnswer, ...]


class PlanList(Answer):
    """All plans, by id."""

    plans: tuple[PlanAnswer, ...]


class OverAnswer(Answer):
    """A tenant that would have more than the plan allows."""

    tenant_id: str
    meters: tuple[MeterAnswer, ...]


class PlanChanged(Answer):
    """A plan that was put, or would be with `dry_run`; `over` are the tenants for which a limit would be too small.

    `looked_at`: of how many tenants what they use was looked at.
    """

    plan: PlanAnswer
    dry_run: bool
    looked_at: int
    over: tuple[OverAnswer, ...]

    @classmethod
    def of(cls, plan: Plan, effect: Effect, *, dry_run: bool) -> PlanChanged:
        """Show what a change means."""
        over = []
        for tenant, uses in effect.over:
            allowance = Allowance.of(tenant, plan, {})
            over.append(
                OverAnswer(tenant_id=tenant.value, meters=tuple(MeterAnswer.of(use, allowance) for use in uses))
            )
        answer = PlanAnswer.of(plan, tenants=effect.tenants)
        return cls(plan=answer, dry_run=dry_run, looked_at=effect.looked_at, over=tuple(over))


class OverrideAnswer(Answer):
    """An exception; `ended`: it does not hold any more."""

    meter: str
    amount: float | None
    reason: str
    ends_at: datetime | None
    ended: bool
    made_at: datetime
    made_by: str

    @classmethod
    def of(cls, override: Override, *, now: datetime) -> OverrideAnswer:
        """Show an exception."""
        return cls(
            meter=override.meter,
            amount=override.amount,
            reason=override.reason,
            ends_at=override.ends_at,
            ended=override.ends_at is not None and override.ends_at <= now,
            made_at=override.made_at,
            made_by=override.made_by,
        )


class OverrideList(Answer):
    """The exceptions of a tenant."""

    quotas: tuple[OverrideAnswer, ...]

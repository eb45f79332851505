"""Bodies of the merchandising rules."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from bento_service.schemas.common import Answer, Body, Text
from resources.base.times import in_utc
from resources.merchandising.rules import Rule, RuleKind, RuleTarget

_Time = Annotated[datetime, AfterValidator(in_utc)]


class RulePatch(Body):
    """Fields of a rule to change; null takes one away that a rule may be without. What is left out stays."""

    EMPTIED = frozenset({"scenario", "position", "factor", "starts_at", "ends_at", "note"})
    kind: RuleKind | None = None
    target: RuleTarget | None = Field(default=None, description="One of `item_ids`, `category`, `brand` and `tag`.")
    scenario: Text | None = Field(default=None, description="The scenario it holds in; every one when left out.")
    position: int | None = Field(default=None, description="The place of a pin among the pins, 1 first.")
    factor: float | None = Field(default=None, description="What a boost (2) or a bury (0.5) multiplies scores by.")
    starts_at: _Time | None = Field(default=None, description="From when on; now when left out.")
    ends_at: _Time | None = Field(default=None, description="Until when, exclusive; for ever when left out.")
    note: Text | None = None
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")

    def fields(self) -> dict[str, Any]:
        """What was sent, as the rule has it."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"tenant_id"})


class RuleBody(RulePatch):
    """A rule to add."""

    kind: RuleKind
    target: RuleTarget


class RuleAnswer(Answer):
    """A rule; `active` tells whether its time is now."""

    id: str
    kind: RuleKind
    target: RuleTarget
    scenario: str | None
    position: int | None
    factor: float | None
    starts_at: datetime | None
    ends_at: datetime | None
    note: str | None
    created_at: datetime
    updated_at: datetime
    active: bool

    @classmethod
    def of(cls, rule: Rule, now: datetime) -> RuleAnswer:
        """Show a rule, with the factor that it uses."""
        factor = rule.multiplier if rule.kind in ("boost", "bury") else None
        fields = {name: getattr(rule, name) for name in Rule.model_fields}
        return cls(**{**fields, "factor": factor}, active=rule.holds(rule.scenario, now))


class RulePage(Answer):
    """The tenant's rules, oldest first."""

    rules: tuple[RuleAnswer, ...]
    next_cursor: str | None = None


class RuleRemoved(Answer):
    """The rule holds no more."""

    id: str
    status: Literal["removed"] = "removed"

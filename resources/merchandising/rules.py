"""Merchandising rules: what a shop pins, boosts, buries or hides, where, and from when to when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from resources.base.client_input import ClientInput, told
from resources.base.errors import FieldProblem, InvalidInput
from resources.base.ids import checked_id
from resources.base.times import in_utc
from resources.ranker.eligibility.rules import MAX_FACTOR

MAX_RULES = 500
"""Rules of one tenant: each is looked at in every answer."""
MAX_TARGETS = 1000
"""Item ids of one rule."""
MAX_TARGETS_IN_ALL = 10_000
"""Item ids of all rules of a tenant: resolving them keeps the first answer after a change waiting."""
BOOST = 2.0
"""Factor of a boost that names none."""
BURY = 0.5
"""Factor of a bury that names none."""

RuleKind = Literal["pin", "boost", "bury", "hide"]
_Name = Annotated[str, Field(min_length=1, max_length=500)]
_ItemId = Annotated[str, AfterValidator(checked_id)]


_Time = Annotated[datetime, AfterValidator(in_utc)]


class RuleTarget(ClientInput):
    """The items that a rule is about: these ids, or all of one category, brand or tag (without case and outer blanks).

    Ids that the shop does not have do nothing.
    """

    item_ids: Annotated[tuple[_ItemId, ...], Field(min_length=1, max_length=MAX_TARGETS)] | None = None
    category: _Name | None = None
    brand: _Name | None = None
    tag: _Name | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> RuleTarget:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("must name one of item_ids, category, brand and tag")
        return self


class RuleDraft(ClientInput):
    """A rule as a shop writes it.

    `pin` shows items first, in the order of `position` and then of age; `hide` never shows them. `boost` and `bury`
    multiply scores by `factor` before items are ordered. Without `scenario` a rule holds in every one. It holds from
    `starts_at` until before `ends_at`, by the clock of the service.
    """

    kind: RuleKind
    target: RuleTarget
    scenario: _Name | None = None
    position: Annotated[int, Field(ge=1, le=100)] | None = None
    factor: Annotated[float, Field(ge=1 / MAX_FACTOR, le=MAX_FACTOR)] | None = None
    starts_at: _Time | None = None
    ends_at: _Time | None = None
    note: Annotated[str, Field(max_length=1000)] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> RuleDraft:
        if self.kind == "pin" and self.target.item_ids is None:
            raise ValueError("a pin names its items: target must be item_ids")
        if self.position is not None and self.kind != "pin":
            raise ValueError("position belongs to a pin")
        if self.factor is not None and self.kind not in ("boost", "bury"):
            raise ValueError("factor belongs to a boost or a bury")
        if self.factor is not None and (self.factor < 1 if self.kind == "boost" else self.factor > 1):
            raise ValueError("factor of a boost is 1 or more, that of a bury 1 or less")
        if self.starts_at is not None and self.ends_at is not None and self.starts_at >= self.ends_at:
            raise ValueError("ends_at must be after starts_at")
        return self

    @property
    def multiplier(self) -> float:
        """The factor that a boost or bury multiplies scores by."""
        return self.factor or (BOOST if self.kind == "boost" else BURY)

    def holds(self, scenario: str | None, now: datetime) -> bool:
        """Whether the rule counts in an answer of this scenario at this time."""
        if self.scenario is not None and self.scenario != scenario:
            return False
        if self.starts_at is not None and now < self.starts_at:
            return False
        return self.ends_at is None or now < self.ends_at


class Rule(RuleDraft):
    """A stored rule."""

    id: str
    created_at: datetime
    updated_at: datetime


def draft_of(fields: Mapping[str, Any]) -> RuleDraft:
    """Read what a rule says.

    Raises:
        InvalidInput: names every field that is wrong.
    """
    try:
        return RuleDraft.model_validate(fields)
    except ValidationError as error:
        problems = tuple(
            FieldProblem(".".join(map(str, each["loc"])) or "rule", told(each["msg"]))
            for each in error.errors(include_url=False, include_input=False)
        )
        named = "; ".join(f"{problem.field}: {problem.message}" for problem in problems[:3])
        raise InvalidInput(f"The rule is not valid. {named}.", details=problems) from None


def changed_draft(rule: Mapping[str, Any], changes: Mapping[str, Any]) -> RuleDraft:
    """Return the rule with `changes`, each a field with its new value; null takes a value away.

    Raises:
        InvalidInput: names every field that is wrong then.
    """
    return draft_of({**rule, **changes})

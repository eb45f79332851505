"""One decision: what was shown to whom, and what it was made of. The basis of receipts, attribution and analytics."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from resources.base.tenant import TenantId
from resources.ranker.ranking import RankedItem

DecisionKind = Literal["recommend", "similar", "bundle", "sandbox"]
"""What was asked for; an answer of any kind to a sandbox key is `sandbox`, and no figure counts it."""
_TIME_DIGITS = 12  # of hex: milliseconds until the year 10889


class ShownItem(NamedTuple):
    """One item of an answer.

    `propensity` is the probability with which the policy shows this item at this position: 1 for one that does not draw
    lots.
    """

    item_id: str
    position: int
    score: float
    source: str
    propensity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One answer.

    Attributes:
        recommendation_id: from `new_recommendation_id`.
        variant: of the experiment that the user is in; `None` without one.
        rules: ids of the merchandising rules that were in force.
        event_watermark: number of the newest event that the release was built from.
        events_seen: number of the newest live event that the answer took in; the watermark when there was none.
        state_version: of the item changes and rules that the answer took in.
        offset: how many items the pages before this one held.
    """

    recommendation_id: str
    tenant: TenantId
    at: datetime
    release_version: str
    algorithm: str
    items: tuple[ShownItem, ...]
    request_id: str
    kind: DecisionKind = "recommend"
    user_id: str | None = None
    session_id: str | None = None
    scenario: str | None = None
    variant: str | None = None
    fallback_reason: str | None = None
    degraded: bool = False
    rules: tuple[str, ...] = ()
    event_watermark: int = 0
    events_seen: int = 0
    state_version: int = 0
    offset: int = 0


def new_recommendation_id(at: datetime) -> str:
    """Return 32 hex digits: the time in milliseconds, then 80 random bits, so that an id cannot be guessed.

    The time in front keeps new ids together in the index of the log, and tells whether an unknown one may be on its way
    into the log.
    """
    return f"{int(at.timestamp() * 1000):0{_TIME_DIGITS}x}{os.urandom(10).hex()}"


def time_of_id(recommendation_id: str) -> datetime | None:
    """Return when the id was made; `None` when it is not one of ours."""
    if len(recommendation_id) != _TIME_DIGITS + 20:
        return None
    try:
        return datetime.fromtimestamp(int(recommendation_id[:_TIME_DIGITS], 16) / 1000, UTC)
    except (ValueError, OverflowError):
        return None


def as_fields(decision: Decision) -> dict[str, Any]:
    """Return the decision as JSON has it: the time as text, each item by the names of its parts."""
    return {
        "recommendation_id": decision.recommendation_id,
        "tenant": decision.tenant.value,
        "at": decision.at.isoformat(),
        "kind": decision.kind,
        "user_id": decision.user_id,
        "session_id": decision.session_id,
        "scenario": decision.scenario,
        "variant": decision.variant,
        "release_version": decision.release_version,
        "algorithm": decision.algorithm,
        "fallback_reason": decision.fallback_reason,
        "degraded": decision.degraded,
        "items": [item._asdict() for item in decision.items],
        "rules": list(decision.rules),
        "event_watermark": decision.event_watermark,
        "events_seen": decision.events_seen,
        "state_version": decision.state_version,
        "request_id": decision.request_id,
        "offset": decision.offset,
    }


def shown_items(items: Iterable[RankedItem]) -> tuple[ShownItem, ...]:
    """Return the items of an answer as a decision keeps them."""
    new = tuple.__new__  # half the time of a call, in what every answer does
    return tuple([new(ShownItem, (item.card.item_id, item.rank, item.score, item.source, 1.0)) for item in items])

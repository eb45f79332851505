"""A shop's rules for one answer: items to show first, to leave out, and to move up or down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from resources.base.errors import FieldProblem, InvalidInput

MAX_FACTOR = 100.0
"""A score can be multiplied or divided by at most this."""


@dataclass(frozen=True, slots=True)
class RankRules:
    """Rules with their targets resolved to item ids, as they hold at the moment of the answer. Unknown ids do nothing.

    Attributes:
        pinned: shown first, in this order, if they pass the filters, are available and are not left out as seen.
        hidden: never shown; a hidden item that is pinned as well stays hidden.
        boosts: what the score of an item is multiplied by before the items are ordered: above 1 moves it up, below 1
            buries it. Pinned items stay where they are.

    Raises:
        InvalidInput: a factor is not between 0.01 and 100.
    """

    pinned: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    boosts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item_id, factor in self.boosts.items():
            if not 1 / MAX_FACTOR <= factor <= MAX_FACTOR:
                problem = f"must be between {1 / MAX_FACTOR:g} and {MAX_FACTOR:g}"
                raise InvalidInput(
                    f"factor of item {item_id[:100]!r} {problem}.", details=(FieldProblem("factor", problem),)
                )


NO_RULES = RankRules()
"""Nothing is pinned, hidden, boosted or buried."""

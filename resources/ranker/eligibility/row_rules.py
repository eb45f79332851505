"""Rules of a shop in terms of item rows, made once for each set of rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resources.ranker.eligibility.current_items import CurrentItems
from resources.ranker.eligibility.rules import NO_RULES, RankRules

_MAX_RULES = 16


@dataclass(frozen=True, slots=True)
class RowRules:
    """`RankRules` by row.

    Attributes:
        pinned, hidden: `(n,)` int32 each; the pinned ones in their order, without hidden ones.
        groups: for each factor other than 1, the rows `(n,)`, ascending, of the items that it applies to.
    """

    pinned: NDArray[np.int32]
    hidden: NDArray[np.int32]
    groups: tuple[tuple[float, NDArray[np.int32]], ...]

    @classmethod
    def of(cls, rules: RankRules, items: CurrentItems) -> RowRules:
        """Resolve the ids; unknown ones do nothing."""
        by_factor: dict[float, list[str]] = {}
        for item_id, factor in rules.boosts.items():
            if factor != 1:
                by_factor.setdefault(factor, []).append(item_id)
        groups = ((factor, np.sort(items.rows(ids))) for factor, ids in sorted(by_factor.items()))
        return cls(
            pinned=items.rows(item_id for item_id in dict.fromkeys(rules.pinned) if item_id not in rules.hidden),
            hidden=items.rows(rules.hidden),
            groups=tuple((factor, rows) for factor, rows in groups if len(rows)),
        )


class RulesByRow:
    """`RowRules` of the rules used last; rules, and the items they are resolved on, are known by their identity."""

    def __init__(self, as_released: CurrentItems) -> None:
        self._none = RowRules.of(NO_RULES, as_released)
        self._made: list[tuple[RankRules, CurrentItems, RowRules]] = []

    def under(self, rules: RankRules | None, items: CurrentItems) -> RowRules:
        """Return `rules` in terms of the rows of `items`."""
        if rules is None or rules is NO_RULES:
            return self._none
        for made_of, made_on, made in self._made:
            if made_of is rules and made_on is items:
                return made
        made = RowRules.of(rules, items)
        self._made = [(rules, items, made), *self._made[: _MAX_RULES - 1]]
        return made

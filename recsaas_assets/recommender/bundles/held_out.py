"""Later baskets as questions: one item of each is hidden, and who ranks finds it again or does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsaas_assets.recommender.bundles.baskets import Baskets
from recsaas_assets.recommender.data.arrays import Mask, Rows, Values

BasketScorer = Callable[[Rows], Values]
"""Takes the item rows of a basket, (m,), and returns a score for every item, (n_items,)."""


@dataclass(frozen=True, slots=True, eq=False)
class BasketQuestions:
    """Baskets without one item each, and that item.

    Attributes:
        given: the item rows of each basket that are left.
        hidden: (n,) int32.
    """

    given: tuple[Rows, ...]
    hidden: Rows

    def __len__(self) -> int:
        return len(self.hidden)


@dataclass(frozen=True, slots=True)
class FoundAgain:
    """Figures of each question, (n,): of the one relevant item, Recall@10 is whether it is among the first ten."""

    recall: Values
    ndcg: Values


def time_cut(baskets: Baskets, share: float) -> int:
    """Return the time, microseconds since 1970, before which that share of the usable baskets began.

    Baskets of one time are not parted: they are all later ones.
    """
    times = np.sort(baskets.usable().started_at)
    return int(times[min(int(len(times) * share), len(times) - 1)]) if len(times) else 0


def hide_one(baskets: Baskets, since: int, known: Mask, *, seed: int) -> BasketQuestions:
    """Hide one item of every usable basket that began at `since` or later.

    Items that are not `known`, (n_items,) bool, are taken out of the baskets: nobody can have learned of them.
    """
    rng = np.random.default_rng(seed)
    later = baskets.usable().of(baskets.usable().started_at >= since)
    given, hidden = [], []
    for rows in np.split(later.item_row, np.cumsum(later.sizes)[:-1]) if len(later) else []:
        rows = rows[known[rows]]
        if len(rows) >= 2:  # one to be found, by one at least
            place = int(rng.integers(len(rows)))
            given.append(np.delete(rows, place))
            hidden.append(rows[place])
    return BasketQuestions(tuple(given), np.array(hidden, dtype=np.int32))


def find_again(questions: BasketQuestions, scorer: BasketScorer, known: Mask, *, depth: int = 10) -> FoundAgain:
    """Rank all known items but those of the basket, and look where the hidden one is; of equal scores the lower row."""
    recall, gain = np.zeros(len(questions)), np.zeros(len(questions))
    for number, (given, hidden) in enumerate(zip(questions.given, questions.hidden.tolist(), strict=True)):
        scores = np.where(known, scorer(given), -np.inf)
        scores[given] = -np.inf
        better = np.count_nonzero(scores > scores[hidden]) + np.count_nonzero(scores[:hidden] == scores[hidden])
        if better < depth:
            recall[number], gain[number] = 1.0, 1 / np.log2(better + 2)
    return FoundAgain(recall, gain)

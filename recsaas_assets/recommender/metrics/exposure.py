"""Exposure of items in lists: popular, varied, unequal, alike (Abdollahpouri et al. 2019; Gini as in Sun 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsaas_assets.recommender.data.arrays import Counts, Rows, Values
from recsaas_assets.recommender.metrics.bootstrap import Resamples

_HEAD_SHARE = 0.2
_SAMPLES = 100  # enough for a standard error; each one costs a sort of all items


def head_items(users_per_item: Counts) -> npt.NDArray[np.bool_]:
    """The fifth of the known items with the most users, shape (n_items,); ties by lower row."""
    count = int(np.ceil(_HEAD_SHARE * (users_per_item > 0).sum()))
    head = np.zeros(len(users_per_item), dtype=bool)
    head[np.argsort(-users_per_item, kind="stable")[:count]] = True
    return head


def popularity_percentiles(users_per_item: Counts) -> Values:
    """Share of the known items that an item is more popular than, ties counted half; shape (n_items,), 0 … 1."""
    known = np.sort(users_per_item[users_per_item > 0])
    if len(known) == 0:
        return np.zeros(len(users_per_item))
    below = np.searchsorted(known, users_per_item, side="left") + np.searchsorted(known, users_per_item, side="right")
    return np.asarray(below / (2 * len(known)), dtype=np.float64)


def mean_of_list(ranked: Rows, k: int, item_values: npt.NDArray[np.generic]) -> Values:
    """Mean of the items' values over the first ``k`` places of each list, shape (n,); 0 for an empty list."""
    top = ranked[:, :k]
    filled = top >= 0
    values = np.where(filled, item_values[np.maximum(top, 0)], 0)
    return np.asarray(values.sum(axis=1) / np.maximum(filled.sum(axis=1), 1), dtype=np.float64)


def gini(shown: Values) -> Values:
    """Gini coefficient of every row of ``shown`` (samples, n_items): 0 all alike, towards 1 one item takes all."""
    n = shown.shape[1]
    totals = shown.sum(axis=1)
    ranks = np.arange(1, n + 1)
    weighted = np.sort(shown, axis=1) @ ranks
    return np.asarray(np.where(totals > 0, 2 * weighted / (n * np.maximum(totals, 1e-12)) - (n + 1) / n, 0.0))


def alike(shown: Values, k: int) -> Values:
    """The share of k places that two lists have in common, the mean over all pairs of lists; 0 with one list or none.

    One minus this is the inter-user diversity of Zhou et al. (2010, PNAS 107, 4511). Each row of ``shown`` (samples,
    n_items) says how often every item is shown; a row of m·k places is of m lists.
    """
    lists = shown.sum(axis=1) / k
    pairs = lists * (lists - 1) * k
    common = (shown * (shown - 1)).sum(axis=1)
    return np.asarray(np.where(lists > 1, common / np.maximum(pairs, 1e-12), 0.0))


def exposure(ranked: Rows, k: int, rankable: npt.NDArray[np.bool_], resamples: Resamples) -> Mapping[str, Values]:
    """Coverage (share of the ``rankable`` items that anybody is shown), Gini of how often each is shown, and how alike
    the lists are (share of the k places that two users' lists have in common, over all pairs of users).

    Each as (value, low, high). Both are figures of all lists together, and a sample with replacement shows fewer
    different items than all users do: the interval is the value ± 1.96 bootstrap standard errors, cut to 0 … 1.
    """
    names = f"coverage@{k}", f"gini@{k}", f"alike@{k}"
    columns = np.cumsum(rankable) - 1
    top = ranked[:, :k]
    filled = (top >= 0) & rankable[np.maximum(top, 0)]
    users = np.nonzero(filled)[0]
    shape = (len(ranked), int(rankable.sum()))
    if shape[1] == 0 or len(users) == 0:
        return {name: np.zeros(3) for name in names}
    lists = sparse.csr_array((np.ones(len(users), np.float32), (users, columns[top[filled]])), shape=shape)

    def measure(shown: Values) -> Values:
        return np.stack([(shown > 0).mean(axis=1), gini(shown), alike(shown, k)])

    value = measure(np.asarray(lists.sum(axis=0), dtype=np.float64)[None, :])[:, 0]
    few = Resamples(resamples.n_users, resamples.seed, n=_SAMPLES)
    samples = np.concatenate([measure(np.asarray(counts @ lists, dtype=np.float64)) for counts in few.counts()], axis=1)
    error = 1.96 * samples.std(axis=1)
    low, high = np.clip(value - error, 0, 1), np.clip(value + error, 0, 1)
    return {name: np.array([value[i], low[i], high[i]]) for i, name in enumerate(names)}

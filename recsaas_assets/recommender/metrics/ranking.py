"""Ranking metrics: one value per user first, averaged later (definitions as in RecTools and lenskit)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsaas_assets.recommender.data.arrays import Mask, Rows, Values
from recsaas_assets.recommender.data.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Relevance:
    """Ranked lists with the truth beside them: ``hits`` (n, k) and ``targets`` (n,), relevant items per user (≥ 1)."""

    hits: Mask
    targets: npt.NDArray[np.int64]


def mark_relevant(user_rows: Rows, ranked: Rows, truth: Pairs, n_users: int, n_items: int) -> Relevance:
    """Mark the places of ``ranked`` (n, k; −1 is no item) that are among the user's pairs in ``truth``."""
    relevant = truth.user_row.astype(np.int64) * n_items + truth.item_row
    keys = user_rows.astype(np.int64)[:, None] * n_items + ranked
    hits = np.isin(keys, relevant) & (ranked >= 0)
    return Relevance(hits, truth.items_per_user(n_users)[user_rows])


def ndcg(relevance: Relevance, k: int) -> Values:
    """DCG@k over the ideal DCG cut at k, per user."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    width = min(k, relevance.hits.shape[1])
    gained = relevance.hits[:, :width] @ discounts[:width]
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(relevance.targets, k)]
    return np.asarray(gained / ideal, dtype=np.float64)


def recall(relevance: Relevance, k: int) -> Values:
    """Share of the user's relevant items among the first k, per user."""
    return np.asarray(relevance.hits[:, :k].sum(axis=1) / relevance.targets, dtype=np.float64)


def precision(relevance: Relevance, k: int) -> Values:
    """Share of relevant items among the first k, per user; a shorter list counts as k places."""
    return np.asarray(relevance.hits[:, :k].sum(axis=1) / k, dtype=np.float64)


def reciprocal_rank(relevance: Relevance) -> Values:
    """One over the place of the first relevant item in the whole list, 0 without one, per user."""
    first = relevance.hits.argmax(axis=1) + 1
    return np.asarray(np.where(relevance.hits.any(axis=1), 1 / first, 0.0), dtype=np.float64)


def coverage(ranked: Rows, k: int, n_rankable: int) -> float:
    """Share of the ``n_rankable`` items that are among the first k of any list in ``ranked`` (n, ≥ k)."""
    shown = np.unique(ranked[:, :k])
    return float((shown >= 0).sum() / n_rankable) if n_rankable else 0.0


def novelty(ranked: Rows, k: int, users_per_item: npt.NDArray[np.int64], n_users: int) -> Values:
    """Mean self-information −log2(share of users who know the item) of the first k, per user.

    ``ranked`` is (n, ≥ k), ``users_per_item`` (n_items,). Shares are (users + 1) / (n_users + 1), so
    an item nobody knows stays finite. A list without items counts 0.
    """
    information = -np.log2((users_per_item + 1) / (n_users + 1))
    head = ranked[:, :k]
    filled = head >= 0
    values = np.where(filled, information[np.maximum(head, 0)], 0.0)
    return np.asarray(values.sum(axis=1) / np.maximum(filled.sum(axis=1), 1), dtype=np.float64)

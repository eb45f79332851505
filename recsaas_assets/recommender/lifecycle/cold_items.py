"""Items that nobody has interacted with yet: their vectors from content, where content ranks better than the category.

Which map from content to vectors is used, and whether one is, is found on warm items that are hidden as if they were
new, a fifth of them and then another. Each map predicts the hidden items' vectors from the others, and the hidden items
are ranked among each other for the users who had them, whose vectors are folded in from their other items alone.
Variance that is explained says little of a ranking, so NDCG@10 decides. What a map has to beat is the mean popularity
of an item's category; where none is clearly ahead, that is what a new item gets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from recsaas_assets.recommender.choice.validation_users import clearly_ahead
from recsaas_assets.recommender.data.arrays import Floats, Mask, Rows, Values, Vectors
from recsaas_assets.recommender.data.content import ItemContent
from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.data.vectors import ModelVectors
from recsaas_assets.recommender.lifecycle.content_maps import MAPS, ContentMap
from recsaas_assets.recommender.metrics.ranking import mark_relevant, ndcg
from recsaas_assets.recommender.metrics.scorers import VectorScorer

CATEGORY_POPULARITY = "category popularity"
_FIELDS = ("items", "fold_in", "start_items")
_LEAST_WARM = 20
_FOLDS, _HIDDEN_FOLDS = 5, 3
_MOST_ITEMS, _MOST_USERS = 5_000, 1_000
_PLACES = 10
_NOISE = 1e-6


class ContentChoice(BaseModel):
    """What new items get their vectors from, and NDCG@10 on warm items that were hidden as if they were new.

    Attributes:
        method: a map and the content that it reads, or "category popularity".
        ndcg: of every method that was tried.
        chance: of an order by chance.
        users: over how many users and folds they are means.
    """

    model_config = ConfigDict(frozen=True)

    method: str
    ndcg: dict[str, float]
    chance: float
    users: int


def with_cold_items(
    vectors: ModelVectors, pairs: Pairs, content: ItemContent, *, seed: int, choice: ContentChoice | None = None
) -> tuple[ModelVectors, ContentChoice | None]:
    """Fill the zero rows of items without any of ``pairs``, from their content or from their category's popularity.

    By content `items`, `fold_in` and `start_items` are filled alike, so a cold item can be recommended, counts when a
    new user touches it, and is a start for a later fit. By popularity only `items` are, as it says nothing of taste.
    Rows of items with pairs stay as they are. Nothing is filled with fewer than 20 warm items. A ``choice`` that an
    earlier fit of the run has made is not made again.
    """
    users_per_item = pairs.users_per_item(len(vectors.items))
    described = np.diff(content.words.indptr) + np.diff(content.details.indptr) > 0
    warm = _rows((users_per_item > 0) & described)
    cold = _rows((users_per_item == 0) & described & ~vectors.items.any(axis=1))
    if len(warm) < _LEAST_WARM or len(cold) == 0:
        return vectors, choice
    confidence = np.log1p(users_per_item).astype(np.float32)
    choice = choice or _Trial(vectors, pairs, content, confidence).choose(warm, seed)
    filled: dict[str, Vectors] = {name: getattr(vectors, name).copy() for name in _FIELDS}
    if choice.method == CATEGORY_POPULARITY:
        known = category_popularity(vectors, content.category, warm, cold)
        filled["items"][cold] = known
        return replace(vectors, items=filled["items"]), choice
    found, features = _methods(content)[choice.method]
    targets = np.hstack([filled[name][warm] for name in _FIELDS])
    ends = np.cumsum([filled[name].shape[1] for name in _FIELDS])[:-1]
    predicted = found.predict(features[warm], targets, confidence[warm], features[cold])
    for name, rows in zip(_FIELDS, np.split(predicted, ends, axis=1), strict=True):
        filled[name][cold] = rows
    return replace(vectors, **filled), choice


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """All methods on hidden items; ``confidence`` (n_items,) is of all items."""

    vectors: ModelVectors
    pairs: Pairs
    content: ItemContent
    confidence: Floats

    def choose(self, warm: Rows, seed: int) -> ContentChoice:
        """The best method, if it is clearly ahead of the popularity of the category."""
        values: dict[str, list[Values]] = {}
        for hidden, kept in _folds(warm, seed):
            for method, found in self._on(hidden, kept, seed).items():
                values.setdefault(method, []).append(found)
        per_user = {method: np.concatenate(found) for method, found in values.items()}
        chance, reference = per_user.pop(_CHANCE), per_user[CATEGORY_POPULARITY]
        means = {method: float(found.mean()) if len(found) else 0.0 for method, found in per_user.items()}
        best = max(means, key=lambda method: means[method])
        ahead = clearly_ahead(per_user[best], reference)
        return ContentChoice(
            method=best if ahead else CATEGORY_POPULARITY,
            ndcg=means,
            chance=float(chance.mean()) if len(chance) else 0.0,
            users=len(reference),
        )

    def _on(self, hidden: Rows, kept: Rows, seed: int) -> dict[str, Values]:
        """NDCG@10 of every method, of the users who had some of the ``hidden`` items, and kept others."""
        n_users, n_items = len(self.vectors.users), len(self.vectors.items)
        truth = self.pairs.of_items(_marked(hidden, n_items))
        rest = self.pairs.of_items(_marked(kept, n_items))
        asked = _rows((truth.items_per_user(n_users) > 0) & (rest.items_per_user(n_users) > 0))
        rng = np.random.default_rng(seed)
        if len(asked) > _MOST_USERS:
            asked = np.sort(rng.choice(asked, _MOST_USERS, replace=False))
        users = _folded_in(self.vectors, rest, asked)
        positions = np.full(n_items, -1, dtype=np.int32)
        positions[hidden] = np.arange(len(hidden))
        local = truth.of_users(_marked(asked, n_users))
        owners = np.searchsorted(asked, local.user_row)
        relevant = Pairs.of(owners, positions[local.item_row])

        # Items with the same prediction are in no order: without noise the first rows would be the best.
        noise = _NOISE * rng.normal(size=(len(hidden), users.shape[1]))

        def measured(items: Floats) -> Values:
            rows = np.arange(len(asked), dtype=np.int32)
            scorer = VectorScorer(users, (items + noise).astype(np.float32), np.ones(len(hidden), dtype=bool))
            ranked, _ = scorer.top_k(rows, _PLACES, None)
            return ndcg(mark_relevant(rows, ranked, relevant, len(asked), len(hidden)), _PLACES)

        targets, weight = self.vectors.items[kept], self.confidence[kept]
        popular = category_popularity(self.vectors, self.content.category, kept, hidden)
        found = {
            method: measured(each.predict(features[kept], targets, weight, features[hidden]))
            for method, (each, features) in _methods(self.content).items()
        }
        return found | {CATEGORY_POPULARITY: measured(popular), _CHANCE: measured(popular * 0)}


_CHANCE = "chance"


def _methods(content: ItemContent) -> dict[str, tuple[ContentMap, sparse.csr_array]]:
    """Every map with every kind of content that it can read."""
    both = sparse.csr_array(sparse.hstack([content.words, content.details])) * np.float32(0.5**0.5)
    kinds = {"words": content.words, "words and details": both}
    return {f"{kind}: {each.name}": (each, features) for kind, features in kinds.items() for each in MAPS}


def _folds(warm: Rows, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Hidden and kept rows, of at most 5,000 items: three of the fifths are hidden, one after the other."""
    order = np.random.default_rng(seed).permutation(warm)[:_MOST_ITEMS]
    for hidden in np.array_split(order, _FOLDS)[:_HIDDEN_FOLDS]:
        yield np.sort(hidden), np.setdiff1d(order, hidden)


def _folded_in(vectors: ModelVectors, pairs: Pairs, users: Rows) -> Vectors:
    """Vectors (n, d) of ``users`` from ``pairs`` alone, as `folded_vector` makes them."""
    history = pairs.csr(len(vectors.users), len(vectors.items))[users]
    history.data[:] = 1
    preference = history @ vectors.fold_in
    lengths = np.linalg.norm(preference, axis=1, keepdims=True)
    found = np.ones((len(users), vectors.users.shape[1]), dtype=np.float32)
    found[:, : preference.shape[1]] = preference / np.maximum(lengths, 1e-12)
    return found


def category_popularity(vectors: ModelVectors, category: Rows, warm: Rows, cold: Rows) -> Floats:
    """Vectors (len(cold), d) that give everybody the mean popularity of the items' categories, as the model counts it.

    A mean is damped by one item with the mean of all, which is also what items without a category get. The popularity
    coordinate counts, where there is one. Without it popularity is what the mean user would give an item.
    """
    learned = vectors.fold_in.shape[1]
    direction = np.zeros(vectors.items.shape[1])
    if vectors.items.shape[1] > learned:
        direction[learned:] = 1
    else:
        users = vectors.users[vectors.users.any(axis=1)]
        direction = users.mean(axis=0, dtype=np.float64) if len(users) else direction
    popularity = vectors.items[warm] @ direction
    mean = popularity.mean()
    named = category[warm] >= 0
    size = int(category.max(initial=-1)) + 1
    total = np.bincount(category[warm][named], weights=popularity[named], minlength=size) + mean
    means = np.append(total / (np.bincount(category[warm][named], minlength=size) + 1), mean)
    level = means[category[cold]] / max(float(direction @ direction), 1e-12)
    found: Floats = (level[:, None] * direction).astype(np.float32)
    return found


def _rows(marked: Mask) -> Rows:
    return np.flatnonzero(marked).astype(np.int32)


def _marked(rows: Rows, n: int) -> Mask:
    marked = np.zeros(n, dtype=bool)
    marked[rows] = True
    return marked

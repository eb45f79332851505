"""The ranker: one loaded release answers. Evaluation and serving both use it, so what is measured is what is served."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resources.errors import ConfigurationError, CorruptRelease, FieldProblem, InvalidInput, ItemNotFound
from resources.ranker.answer import Answer
from resources.ranker.filters import Filters, FilterViews
from resources.ranker.fold_in import folded_vector, known_events
from resources.ranker.index import load_index
from resources.ranker.ranking import Fallback, Ranking, Source, cosine_scores, model_scores
from resources.ranker.reasons import interest_reasons, similarity_reason
from resources.ranker.search import VectorSearch
from resources.ranker.second_stage import CANDIDATES, SecondStage
from resources.release.contents import INDEX
from resources.release.load import LoadedRelease

_BLOCK = 256
_NO_FILTERS = Filters()


class Ranker:
    """Answers from one release. Safe to share between threads.

    A second stage that cannot be used costs its order and not the answers: they are degraded then, and
    `second_stage_problem` says why.

    Raises:
        CorruptRelease: the index is not the index of the release's item vectors.
    """

    def __init__(self, release: LoadedRelease) -> None:
        self.release = release
        self._catalogue = release.catalogue
        self._algorithm = release.manifest.algorithm
        index = None
        if self._algorithm != "popularity":
            index = load_index(release.directory / INDEX, release.item_vectors, name=f"release {release.version}")
        self._search = VectorSearch(release.item_vectors, index)
        # Some coordinates may hold popularity, in which any two best-sellers are alike; taste decides likeness.
        taste = release.item_vectors[:, : release.manifest.taste_dimensions]
        whole = taste.shape == release.item_vectors.shape
        self._taste = self._search if whole else VectorSearch(np.ascontiguousarray(taste))
        self._views = FilterViews(release.catalogue)
        self._second_stage: SecondStage | None = None
        self.second_stage_problem: str | None = None
        try:
            self._second_stage = SecondStage.of_release(release)
        except (CorruptRelease, ConfigurationError) as error:
            self.second_stage_problem = error.message

    @property
    def _taste_bytes(self) -> int:
        return 0 if self._taste is self._search else int(self._taste.vectors.nbytes)

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of the release, its index and the filter views kept now."""
        return (
            self.release.bytes_in_memory
            + self.release.item_vectors.nbytes
            + self._taste_bytes
            + self._views.bytes_in_memory
            + (self._second_stage.bytes_in_memory if self._second_stage is not None else 0)
        )

    def recommend(
        self,
        user_id: str | None,
        count: int,
        *,
        filters: Filters = _NO_FILTERS,
        exclude_seen: bool = True,
        live_items: Sequence[str] = (),
        live_weights: Sequence[float] | None = None,
        explain: bool = True,
    ) -> Ranking:
        """Rank `count` items for a user; fewer only when fewer pass the filters, none only when none does.

        The model's items come first, in the order of the second stage if the release has one, then popular ones.
        `live_items` are the user's items since the release, most recent last; they count as seen, and a user without a
        vector gets one from them, with `live_weights` (1 each when left out). When everything that passes was seen,
        seen items are answered, degraded.

        Raises:
            InvalidInput: `count` is below 1, or the weights do not fit the items.
        """
        _require_count(count)
        view = self._views.get(filters)
        history = self.release.history(user_id)
        live, weights = known_events(self.release.item_rows, live_items, live_weights)
        interests = history
        if len(live):
            spoken_for = live if weights is None else live[np.asarray(weights) > 0]
            interests = np.concatenate([history, spoken_for])
            history = np.concatenate([history, live])
        excluded = self._rows(filters.exclude_ids)
        removed = excluded
        if exclude_seen:
            user_row = self.release.user_rows.get(user_id) if user_id is not None else None
            removed = np.concatenate([excluded, history, self.release.disliked_items(user_row)])
        query, source, fallback = self._query(user_id, live, weights)
        answer = Answer(self._catalogue, view, removed, count, explain)
        if query is not None:
            # It was trained and measured on users with a vector of their own.
            second = self._second_stage if source == "model" else None
            rows, products = self._search.top(
                query,
                count if second is None else max(count, CANDIDATES),
                answer.open_to_model(),
                allowed_before=len(view.model_rows),
                removed=len(removed),
            )
            if second is not None and user_id is not None:
                rows = second.order(self.release.user_rows[user_id], query, rows, products, history)[:count]
                products = products[:count]  # those of the places: the scores of an answer fall
            scale = float(np.linalg.norm(query)) * self._search.typical_norm
            reasons: list[str | None] = [None] * len(rows)
            if explain:
                reasons = [*interest_reasons(self._catalogue, self._taste.vectors, rows, interests)]
            answer.add_model(rows, model_scores(products, scale), reasons, source)
            out_of_order = self.second_stage_problem is not None and source == "model"
            fallback = "no_model_item" if not len(rows) else "second_stage_unavailable" if out_of_order else None
        answer.add_popular(view.popular)
        if not answer.items and len(removed) > len(excluded):
            answer = Answer(self._catalogue, view, excluded, count, explain)
            answer.add_popular(view.popular)
            return answer.ranking("all_seen", self._algorithm, degraded=True)
        return answer.ranking(fallback, self._algorithm, degraded=fallback == "second_stage_unavailable")

    def similar(self, item_id: str, count: int, *, filters: Filters = _NO_FILTERS, explain: bool = True) -> Ranking:
        """Rank `count` items by the cosine of their vectors to that of `item_id`, which is never among them.

        For an item without a vector the popular items of its category come first, then those of the whole shop.

        Raises:
            ItemNotFound: the release does not know the item.
            InvalidInput: `count` is below 1.
        """
        _require_count(count)
        row = self.release.item_rows.get(item_id)
        if row is None:
            raise ItemNotFound(
                f"release {self.release.version} of tenant {self.release.manifest.tenant} does not know item "
                f"{item_id[:100]!r}; upload it, and it is known after the next release."
            )
        view = self._views.get(filters)
        removed = np.append(self._rows(filters.exclude_ids), np.int32(row))
        answer = Answer(self._catalogue, view, removed, count, explain)
        fallback: Fallback | None = None
        if self._algorithm == "popularity":
            fallback = "popularity_release"
        elif not self._catalogue.has_vector[row] or self._taste.norms[row] == 0:
            fallback = "item_without_vector"
        else:
            allowed = answer.open_to_model() & (self._taste.norms > 0)
            rows, cosines = self._taste.exact_cosine(row, count, allowed)
            reason = similarity_reason(self._catalogue, row) if explain else None
            source: Source = "content" if self._catalogue.from_content[row] else "model"
            answer.add_model(rows, cosine_scores(cosines), [reason] * len(rows), source)
            fallback = None if len(rows) else "no_model_item"
        category = self._catalogue.category.codes[row]
        if fallback is not None and category >= 0:
            answer.add_popular(view.popular[self._catalogue.category.codes[view.popular] == category])
        answer.add_popular(view.popular)
        return answer.ranking(fallback, self._algorithm)

    def top_rows(
        self,
        user_rows: NDArray[np.integer],
        k: int,
        *,
        exclude_seen: bool = True,
        filters: Filters = _NO_FILTERS,
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Rank the model's `k` items for many users: exactly the rows that `recommend` answers from the model.

        Returns:
            Item rows `(n, k)`, padded with −1, and inner products `(n, k)`, padded with −inf. A user without a vector
            has only padding.
        """
        _require_count(k)
        release = self.release
        rows = np.full((len(user_rows), k), -1, dtype=np.int32)
        products = np.full((len(user_rows), k), -np.inf)
        if self._algorithm == "popularity" or not len(release.user_vectors):
            return rows, products
        closed = ~self._views.get(filters).model_mask
        closed[self._rows(filters.exclude_ids)] = True
        second = self._second_stage
        depth = k if second is None else max(k, CANDIDATES)
        for start in range(0, len(user_rows), _BLOCK):
            block = user_rows[start : start + _BLOCK]
            queries = release.user_vectors[block]
            scores = queries @ release.item_vectors.T
            scores[:, closed] = -np.inf
            for offset, user_row in enumerate(block):
                if not queries[offset].any():
                    continue
                history = release.seen_items[release.seen_indptr[user_row] : release.seen_indptr[user_row + 1]]
                if exclude_seen:
                    scores[offset, history] = -np.inf
                    scores[offset, release.disliked_items(int(user_row))] = -np.inf
                best, falling = self._search.exact_from_products(queries[offset], depth, scores[offset])
                if second is not None:
                    best = second.order(int(user_row), queries[offset], best, falling, history)
                n = min(k, len(best))
                rows[start + offset, :n], products[start + offset, :n] = best[:n], falling[:n]
        return rows, products

    def _query(
        self, user_id: str | None, live: NDArray[np.int32], weights: Sequence[float] | None
    ) -> tuple[NDArray[np.float32] | None, Source, Fallback | None]:
        if self._algorithm == "popularity":
            return None, "popular", "popularity_release"
        vector = self.release.user_vector(user_id)
        if vector is not None:
            return vector, "model", None
        if self.release.fold_in is not None and len(live):
            folded = folded_vector(self.release.fold_in, live, weights, self.release.item_vectors.shape[1])
            if folded is not None:
                return folded, "fold_in", None
        known = user_id is not None and user_id in self.release.user_rows
        return None, "popular", "user_without_vector" if known else "unknown_user"

    def _rows(self, item_ids: Sequence[str]) -> NDArray[np.int32]:
        known = self.release.item_rows
        return np.array([known[item_id] for item_id in item_ids if item_id in known], dtype=np.int32)


def _require_count(count: int) -> None:
    if count < 1:
        raise InvalidInput("count must be at least 1.", details=(FieldProblem("count", "must be at least 1"),))

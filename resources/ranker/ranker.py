"""The ranker: one loaded release answers. Evaluation and serving both use it, so what is measured is what is served."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resources.errors import FieldProblem, InvalidInput, ItemNotFound
from resources.ranker.answer import Answer
from resources.ranker.filters import Filters, FilterViews
from resources.ranker.index import load_index
from resources.ranker.ranking import Fallback, Ranking, cosine_scores, model_scores
from resources.ranker.reasons import interest_reasons, similarity_reason
from resources.ranker.search import VectorSearch
from resources.release.contents import INDEX
from resources.release.load import LoadedRelease

_BLOCK = 256
_NO_FILTERS = Filters()


class Ranker:
    """Answers from one release. Safe to share between threads.

    Raises:
        CorruptRelease: the index is not the index of the release's item vectors.
    """

    def __init__(self, release: LoadedRelease) -> None:
        self.release = release
        self._catalogue = release.catalogue
        index = None
        if release.manifest.algorithm != "popularity":
            index = load_index(release.directory / INDEX, release.item_vectors, name=f"release {release.version}")
        self._search = VectorSearch(release.item_vectors, index)
        # Some coordinates may hold popularity, in which any two best-sellers are alike; taste decides likeness.
        taste = release.item_vectors[:, : release.manifest.taste_dimensions]
        whole = taste.shape == release.item_vectors.shape
        self._taste = self._search if whole else VectorSearch(np.ascontiguousarray(taste))
        self._views = FilterViews(release.catalogue)

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
        )

    def recommend(
        self,
        user_id: str | None,
        count: int,
        *,
        filters: Filters = _NO_FILTERS,
        exclude_seen: bool = True,
        live_items: Sequence[str] = (),
        explain: bool = True,
    ) -> Ranking:
        """Rank `count` items for a user; fewer only when fewer pass the filters, none only when none does.

        The model's items come first, then popular ones. `live_items` are the user's items since the release, most
        recent last; they count as seen. When everything that passes was seen, seen items are answered, degraded.

        Raises:
            InvalidInput: `count` is below 1.
        """
        _require_count(count)
        view = self._views.get(filters)
        history = self.release.history(user_id)
        live = self._rows(live_items)
        if len(live):
            history = np.concatenate([history, live])
        excluded = self._rows(filters.exclude_ids)
        removed = np.concatenate([excluded, history]) if exclude_seen else excluded
        query, fallback = self._query(user_id)
        answer = Answer(self._catalogue, view, removed, count, explain)
        if query is not None:
            rows, products = self._search.top(
                query,
                count,
                answer.open_to_model(),
                allowed_before=len(view.model_rows),
                removed=len(removed),
            )
            scale = float(np.linalg.norm(query)) * self._search.typical_norm
            reasons: list[str | None] = [None] * len(rows)
            if explain:
                reasons = [*interest_reasons(self._catalogue, self._taste.vectors, rows, history)]
            answer.add_model(rows, model_scores(products, scale), reasons)
            fallback = None if len(rows) else "no_model_item"
        answer.add_popular(view.popular)
        if not answer.items and exclude_seen and len(history):
            answer = Answer(self._catalogue, view, excluded, count, explain)
            answer.add_popular(view.popular)
            return answer.ranking("all_seen", degraded=True)
        return answer.ranking(fallback)

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
        if self.release.manifest.algorithm == "popularity":
            fallback = "popularity_release"
        elif not self._catalogue.has_vector[row] or self._taste.norms[row] == 0:
            fallback = "item_without_vector"
        else:
            allowed = answer.open_to_model() & (self._taste.norms > 0)
            rows, cosines = self._taste.exact_cosine(row, count, allowed)
            reason = similarity_reason(self._catalogue, row) if explain else None
            answer.add_model(rows, cosine_scores(cosines), [reason] * len(rows))
            fallback = None if len(rows) else "no_model_item"
        category = self._catalogue.category.codes[row]
        if fallback is not None and category >= 0:
            answer.add_popular(view.popular[self._catalogue.category.codes[view.popular] == category])
        answer.add_popular(view.popular)
        return answer.ranking(fallback)

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
        if release.manifest.algorithm == "popularity" or not len(release.user_vectors):
            return rows, products
        closed = ~self._views.get(filters).model_mask
        closed[self._rows(filters.exclude_ids)] = True
        for start in range(0, len(user_rows), _BLOCK):
            block = user_rows[start : start + _BLOCK]
            queries = release.user_vectors[block]
            scores = queries @ release.item_vectors.T
            scores[:, closed] = -np.inf
            for offset, user_row in enumerate(block):
                if not queries[offset].any():
                    continue
                if exclude_seen:
                    seen = release.seen_items[release.seen_indptr[user_row] : release.seen_indptr[user_row + 1]]
                    scores[offset, seen] = -np.inf
                found = self._search.exact_from_products(queries[offset], k, scores[offset])
                rows[start + offset, : len(found[0])], products[start + offset, : len(found[1])] = found
        return rows, products

    def _query(self, user_id: str | None) -> tuple[NDArray[np.float32] | None, Fallback | None]:
        if self.release.manifest.algorithm == "popularity":
            return None, "popularity_release"
        if user_id is None or user_id not in self.release.user_rows:
            return None, "unknown_user"
        vector = self.release.user_vector(user_id)
        return vector, "user_without_vector" if vector is None else None

    def _rows(self, item_ids: Sequence[str]) -> NDArray[np.int32]:
        known = self.release.item_rows
        return np.array([known[item_id] for item_id in item_ids if item_id in known], dtype=np.int32)


def _require_count(count: int) -> None:
    if count < 1:
        raise InvalidInput("count must be at least 1.", details=(FieldProblem("count", "must be at least 1"),))

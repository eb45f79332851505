"""The ranker: one loaded release answers.

Evaluation ranks the same vectors exactly, for many users at once and without a release around them
(`recsaas_assets.recommender.metrics.scorers`); a test holds that the two give the same lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import ConfigurationError, CorruptRelease, ItemNotFound
from resources.ranker.answer import Answer
from resources.ranker.candidates import ByVector, Diversified, WithTrending
from resources.ranker.candidates import Source as Candidates
from resources.ranker.eligibility.current_items import ItemsNow, OverlaidItems
from resources.ranker.eligibility.filters import Filters, FilterViews
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.row_rules import RulesByRow
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.fold_in import distinct, folded_vector, known_events, recomputed_vector
from resources.ranker.query import NO_FILTERS, Asked, Events, require_at_least
from resources.ranker.ranking import Fallback, Place, Ranking, Source, cosine_scores, model_scores
from resources.ranker.reasons import HISTORY_LIMIT, Interests, interest_reasons, similarity_reason
from resources.ranker.retrieval.index import load_index
from resources.ranker.retrieval.search import VectorSearch, length
from resources.ranker.scope import NO_ROWS, Scope
from resources.ranker.second_stage import SecondStage
from resources.release.contents import INDEX
from resources.release.load import LoadedRelease

_FIRST_LOOK = 1_000
_NO_WEIGHTS = np.empty(0)


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
            if release.manifest.index.type == "flat_ip":
                index = None  # it is a copy of the vectors, and one matrix product over them is as exact and quicker
        self.search = VectorSearch(release.item_vectors, index)
        # Some coordinates may hold popularity, in which any two best-sellers are alike; taste decides likeness.
        taste = release.item_vectors[:, : release.manifest.taste_dimensions]
        whole = taste.shape == release.item_vectors.shape
        self._taste = self.search if whole else VectorSearch(np.ascontiguousarray(taste))
        self._any_from_content = bool(self._catalogue.from_content.any())
        self._views = FilterViews(release.catalogue)
        self._overlaid = OverlaidItems(release)
        self._rules = RulesByRow(self._overlaid.as_released)
        self._second_stage: SecondStage | None = None
        self.second_stage_problem: str | None = None
        try:
            self._second_stage = SecondStage.of_release(release)
        except (CorruptRelease, ConfigurationError) as error:
            self.second_stage_problem = error.message

    @property
    def _taste_bytes(self) -> int:
        return 0 if self._taste is self.search else int(self._taste.vectors.nbytes)

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
        filters: Filters = NO_FILTERS,
        exclude_seen: bool = True,
        live_items: Sequence[str] = (),
        live_weights: Sequence[float] | None = None,
        explain: bool = True,
        recompute: bool = True,
        offset: int = 0,
        diversity: float | None = None,
        max_per_category: int | None = None,
        overlay: ItemOverlay | None = None,
        rules: RankRules | None = None,
    ) -> Ranking:
        """Rank `count` items for a user; fewer only when fewer pass the filters, none only when none does.

        Pinned items come first, then the model's, in the order of the second stage if the release has one, then popular
        ones; for a visitor without any event every third of these is a trending one.

        Args:
            live_items: the user's items since the release, most recent last. They count as seen; a user without a
                vector gets one from them, and with `recompute` they move the vector of one who has one.
            live_weights: of their events, 1 each when left out.
            offset: leave out the first items of the same list; ranks count on.
            diversity: 0–1, see `resources.ranker.diversity`.
            max_per_category: at most so many items of one category in the list; then fewer than `count` may be left.
            overlay: what has changed in the catalogue since the release.
            rules: of the shop, for this answer.

        When everything that passes was seen, seen items are answered, degraded.

        Raises:
            InvalidInput: a number is out of its range, or the weights do not fit the items.
        """
        require_at_least(1, count=count)
        require_at_least(0, offset=offset)
        asked = Asked(
            user_id=user_id,
            filters=filters,
            exclude_seen=exclude_seen,
            live_items=live_items,
            live_weights=live_weights,
            recompute=recompute,
            diversity=diversity,
            max_per_category=max_per_category,
            overlay=overlay,
            rules=rules,
        )
        return self._ranking(asked, offset + count, offset=offset, explain=explain)

    def exact(self, asked: Asked, count: int) -> Ranking:
        """Rank the first `count` items of the list for what is `asked` by a search through all items."""
        return self._ranking(asked, count, explain=True, exact=True)

    def place(self, item_id: str, asked: Asked) -> Place:
        """Tell at which rank `recommend` has the item for what is `asked`, or why it does not have it.

        The rank is that of a search through all items. (In a large catalogue the index may miss one of twenty of the
        best items, and then the answer begins to differ there.)

        Raises:
            InvalidInput: as for `recommend`.
        """
        items = self._overlaid.under(asked.overlay)
        row = items.row(item_id)
        if row is None:
            return Place("unknown", "The item is neither in the release nor among the changes since.")
        for wanted in (_FIRST_LOOK, items.size):  # most questions are about items near the top
            ranking = self.exact(asked, wanted)
            item = next((each for each in ranking.items if each.item_id == item_id), None)
            if item is not None:
                return Place("ranked", f"Rank {item.rank}, by source {item.source}.", item)
            if len(ranking.items) < wanted:
                break
        if not items.is_listed(row) or not (items.is_available(row) or asked.filters.include_unavailable):
            return Place("unavailable", "The item is deleted, not in the catalogue, or not available.")
        rules = self._rules.under(asked.rules, items)
        if row in rules.hidden:
            return Place("filtered", "A rule hides the item.")
        scope = Scope.of(self._views, items, rules, asked.filters)
        if item_id in asked.filters.exclude_ids or not scope.passing_mask()[row]:
            return Place("filtered", "The item does not pass the filters of the request.")
        events = self._events(asked, items)
        if row in (events.seen if asked.exclude_seen else events.disliked):
            return Place("seen", "The user has seen the item, or dislikes it.")
        return Place("filtered", "The list has as many items of this category as max_per_category allows.")

    def similar(
        self,
        item_id: str,
        count: int,
        *,
        filters: Filters = NO_FILTERS,
        explain: bool = True,
        offset: int = 0,
        diversity: float | None = None,
        overlay: ItemOverlay | None = None,
        rules: RankRules | None = None,
    ) -> Ranking:
        """Rank `count` items by the cosine of their vectors to that of `item_id`, which is never among them.

        For an item without a vector the popular items of its category come first, then those of the whole shop. Other
        arguments are as for `recommend`.

        Raises:
            ItemNotFound: neither the release nor the overlay knows the item.
            InvalidInput: a number is out of its range.
        """
        require_at_least(1, count=count)
        require_at_least(0, offset=offset)
        items = self._overlaid.under(overlay)
        row = items.row(item_id)
        if row is None:
            raise ItemNotFound(
                f"release {self.release.version} of tenant {self.release.manifest.tenant} does not know item "
                f"{item_id[:100]!r}; upload it, and it is known after the next release."
            )
        asked = Asked(filters=filters, diversity=diversity, overlay=overlay, rules=rules)
        scope = Scope.of(self._views, items, self._rules.under(rules, items), filters, also_removed=np.array([row]))
        answer = Answer(items, offset + count)
        answer.add_pinned(scope.pinned)
        fallback: Fallback | None = None
        if self._algorithm == "popularity":
            fallback = "popularity_release"
        elif row >= items.release_size or not self._catalogue.has_vector[row] or self._taste.norms[row] == 0:
            fallback = "item_without_vector"
        else:
            nearest = ByVector(
                top=partial(self._taste.exact_cosine, row),
                among=partial(self._taste.exact_cosine_among, row),
                scores=cosine_scores,
                allowed=scope.model_mask() & (self._taste.norms > 0),
                rules=scope.rules,
            )
            source: Source = "content" if self._catalogue.from_content[row] else "model"
            if not answer.add(self._diversified(nearest, asked), partial(self._vector_sources, source)):
                fallback = "no_model_item"
        if fallback is not None:
            answer.add_popular(scope.popular(answer.taken(), only=items.category_of(row)))
        answer.add_popular(scope.popular(answer.taken()))
        reasons = (lambda rows: [similarity_reason(items, row)] * len(rows)) if explain else None
        return answer.ranking(fallback, self._algorithm, offset=offset, reasons=reasons)

    def _ranking(self, asked: Asked, wanted: int, *, offset: int = 0, explain: bool, exact: bool = False) -> Ranking:
        items = self._overlaid.under(asked.overlay)
        events = self._events(asked, items)
        seen = events.seen if asked.exclude_seen else events.disliked
        rules = self._rules.under(asked.rules, items)
        scope = Scope.of(self._views, items, rules, asked.filters, also_removed=seen)
        answer = Answer(items, wanted, asked.max_per_category)
        answer.add_pinned(scope.pinned)
        query, source, fallback, interests = self._query(asked.user_id, events, recompute=asked.recompute)
        if query is not None:
            nearest = self._nearest(query, scope, source, asked.user_id, events.history, exact=exact)
            found = answer.add(self._diversified(nearest, asked), partial(self._vector_sources, source))
            out_of_order = self.second_stage_problem is not None and source == "model"
            fallback = "no_model_item" if not found else "second_stage_unavailable" if out_of_order else None
        degraded = fallback == "second_stage_unavailable"
        self._fill(answer, scope, asked, visitor=not len(events.history))
        if not answer.rows and len(seen):
            # What was seen may come again, what is disliked only where there is nothing else: an answer is never empty.
            scope = Scope.of(self._views, items, rules, asked.filters, also_removed=events.disliked)
            if not scope.mask().any():
                scope = Scope.of(self._views, items, rules, asked.filters)
            answer = Answer(items, wanted, asked.max_per_category)
            answer.add_pinned(scope.pinned)
            self._fill(answer, scope, asked, visitor=False)
            fallback, degraded = "all_seen", True
        reasons = None
        if explain:
            told = interests.without(items.closed, rules.hidden)
            reasons = partial(interest_reasons, items, self._taste.vectors, interests=told)
        return answer.ranking(fallback, self._algorithm, offset=offset, reasons=reasons, degraded=degraded)

    def _events(self, asked: Asked, items: ItemsNow) -> Events:
        release = self.release
        user_row = release.user_rows.get(asked.user_id) if asked.user_id is not None else None
        before = release.history(asked.user_id)
        live, weights = NO_ROWS, _NO_WEIGHTS
        if asked.live_items or asked.live_weights is not None:
            live, weights = known_events(items.row, asked.live_items, asked.live_weights)
        disliked = release.disliked_items(user_row)
        if len(weights) and weights.min() < 0:
            rows, sums = distinct(live, weights)
            disliked = np.concatenate([disliked, rows[sums < 0]])
        return Events(before, live, weights, disliked)

    def _query(
        self, user_id: str | None, events: Events, *, recompute: bool
    ) -> tuple[NDArray[np.float32] | None, Source, Fallback | None, Interests]:
        fold_in, n_items = self.release.fold_in, self._catalogue.size
        # Items added since the release say nothing to the model.
        live, weights = events.live, events.weights
        if len(live):
            inside = live < n_items
            live, weights = live[inside], weights[inside]
        for_it = weights > 0
        interests = Interests(np.concatenate([events.before, live[for_it]]), self._taste.vectors)
        if self._algorithm == "popularity":
            return None, "popular", "popularity_release", interests
        vector = self.release.user_vector(user_id)
        if vector is not None:
            if recompute and fold_in is not None and len(live):
                vector = recomputed_vector(vector, fold_in, events.before, live, weights)
                newest = events.before[-HISTORY_LIMIT:]
                with_live = np.concatenate([newest, live[for_it]])
                weighted = distinct(with_live, np.concatenate([np.ones(len(newest)), weights[for_it]]))
                interests = Interests(weighted[0], fold_in, weighted[1])
            return vector, "model", None, interests
        if fold_in is not None and len(live):
            folded = folded_vector(fold_in, live, weights, self.release.item_vectors.shape[1])
            if folded is not None:
                rows, times = distinct(live[for_it], weights[for_it])
                return folded, "fold_in", None, Interests(rows, fold_in, times)
        known = user_id is not None and user_id in self.release.user_rows
        return None, "popular", "user_without_vector" if known else "unknown_user", interests

    def _nearest(
        self,
        query: NDArray[np.float32],
        scope: Scope,
        source: Source,
        user_id: str | None,
        history: NDArray[np.int32],
        *,
        exact: bool,
    ) -> ByVector:
        search = self.search
        scale = length(query) * search.typical_norm
        top = partial(search.top, allowed_before=scope.passing, removed=scope.taken_out)
        reorder = None
        # The second stage was trained and measured on users with a vector of their own.
        if self._second_stage is not None and source == "model" and user_id is not None:
            known = history[history < self._catalogue.size]
            user_row, order = self.release.user_rows[user_id], self._second_stage.order
            reorder = lambda rows, products: order(user_row, query, rows, products, known)  # noqa: E731
        return ByVector(
            top=partial(search.exact if exact else top, query),
            among=partial(search.exact_among, query),
            scores=partial(model_scores, scale=scale),
            allowed=scope.model_mask(),
            rules=scope.rules,
            reorder=reorder,
        )

    def _fill(self, answer: Answer, scope: Scope, asked: Asked, *, visitor: bool) -> None:
        if answer.missing <= 0:
            return
        popular = scope.popular(answer.taken())
        if not visitor or not len(self._catalogue.trending_rows):
            answer.add_popular(self._diversified(popular, asked))
            return
        rising = self._catalogue.trending_rows
        blended = WithTrending(popular, rising[popular.allowed[rising]])
        answer.add_popular(self._diversified(blended, asked), trends=lambda: blended.trends)

    def _diversified(self, source: Candidates, asked: Asked) -> Candidates:
        return Diversified(source, self._taste.vectors, asked.diversity) if asked.diversity else source

    def _vector_sources(self, source: Source, rows: NDArray[np.int32]) -> list[Source]:
        """An item whose own vector is from content says so, whatever ranked it."""
        if not self._any_from_content:
            return [source] * len(rows)
        return ["content" if content else source for content in self._catalogue.from_content[rows].tolist()]

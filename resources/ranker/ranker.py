"""The ranker: one loaded release answers.

Evaluation ranks the same vectors or item table exactly, for many users at once and without a release around them
(`recsaas_assets.recommender.metrics.scorers`); a test holds that the two give the same lists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import ConfigurationError, CorruptRelease, ItemNotFound
from resources.ranker.candidates import ByScore, Candidates, Diversified, among_new
from resources.ranker.eligibility.current_items import CurrentItems, OverlaidItems
from resources.ranker.eligibility.filters import Filters, FilterViews
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.row_rules import RowRules, RulesByRow
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.eligible import NO_ROWS, EligibleItems
from resources.ranker.fold_in import distinct, known_events
from resources.ranker.listed import Listings
from resources.ranker.preference import NO_PREFERENCE, Preference, by_sequence, by_table, by_vector
from resources.ranker.query import RankingQuery, SimilarQuery, UserHistory
from resources.ranker.ranking import Fallback, ItemSource, Place, Ranking, cosine_scores, model_scores, table_scores
from resources.ranker.ranking_builder import RankingBuilder
from resources.ranker.reasons import interest_reasons, similarity_reason
from resources.ranker.retrieval.index import load_index
from resources.ranker.retrieval.repeats import RepeatItems, repeats_now, waits
from resources.ranker.retrieval.scored import ScoredItems
from resources.ranker.retrieval.search import VectorSearch, length
from resources.ranker.second_stage.reordering import SecondStage
from resources.release.contents import INDEX
from resources.release.load import LoadedRelease
from resources.release.manifest import TABLE_ALGORITHMS

_FIRST_LOOK = 1_000
_NO_WEIGHTS = np.empty(0)
_BOUGHT_LATELY = "The user has bought the item lately: it waits for its time."


@dataclass(frozen=True, slots=True)
class _Shop:
    """The items as they are now, and the rules in terms of their rows."""

    items: CurrentItems
    rules: RowRules


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
        self._table = release.item_table if self._algorithm in TABLE_ALGORITHMS else None
        index = None
        if self._algorithm != "popularity" and self._table is None:
            index = load_index(release.directory / INDEX, release.item_vectors, name=f"release {release.version}")
            if release.manifest.index.type == "flat_ip":
                index = None  # it is a copy of the vectors, and one matrix product over them is as exact and quicker
        self.search = VectorSearch(release.item_vectors, index)
        # Some coordinates may hold popularity, in which any two best-sellers are alike; those learned decide likeness.
        learned = release.item_vectors[:, : release.manifest.taste_dimensions]
        whole = learned.shape == release.item_vectors.shape
        self._likeness = self.search if whole else VectorSearch(np.ascontiguousarray(learned))
        self._any_from_content = bool(self._catalogue.from_content.any())
        self._views = FilterViews(release.catalogue)
        self._listings = Listings(self._catalogue)
        self._overlaid = OverlaidItems(release)
        self._rules = RulesByRow(self._overlaid.as_released)
        self._second_stage: SecondStage | None = None
        self.second_stage_problem: str | None = None
        try:
            self._second_stage = SecondStage.of_release(release)
        except (CorruptRelease, ConfigurationError) as error:
            self.second_stage_problem = error.message

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of the release, its index and the filter views kept now."""
        return (
            self.release.bytes_in_memory
            + self.release.item_vectors.nbytes
            + (0 if self._likeness is self.search else int(self._likeness.vectors.nbytes))
            + self._views.bytes_in_memory
            + self._listings.bytes_in_memory
            + (self._second_stage.bytes_in_memory if self._second_stage is not None else 0)
        )

    def recommend(
        self, query: RankingQuery, *, overlay: ItemOverlay | None = None, rules: RankRules | None = None
    ) -> Ranking:
        """Rank items for a user: none only when none passes the filters.

        Pinned items come first, then the model's, in the order of the second stage if the release has one, then popular
        ones; for a visitor without any event every third of these is a trending one. When everything that passes was
        seen, seen items are answered, degraded.

        Args:
            overlay: what has changed in the catalogue since the release.
            rules: of the shop, for this answer.

        Raises:
            InvalidInput: the weights do not fit the items.
        """
        return self._ranking(query, self._shop(overlay, rules))

    def exact(
        self, query: RankingQuery, *, overlay: ItemOverlay | None = None, rules: RankRules | None = None
    ) -> Ranking:
        """Rank as `recommend` does, by a search through all items."""
        return self._ranking(query, self._shop(overlay, rules), exact=True)

    def place(
        self, item_id: str, query: RankingQuery, *, overlay: ItemOverlay | None = None, rules: RankRules | None = None
    ) -> Place:
        """Tell at which rank of the user's whole list the item is, or why it is not there; `count` does not matter.

        The rank is that of a search through all items. (In a large catalogue the index may miss one of twenty of the
        best items, and then the answer begins to differ there.)

        Raises:
            InvalidInput: as for `recommend`.
        """
        shop = self._shop(overlay, rules)
        row = shop.items.row(item_id)
        if row is None:
            return Place("unknown", "The item is neither in the release nor among the changes since.")
        for wanted in (_FIRST_LOOK, shop.items.size):  # most questions are about items near the top
            ranking = self._ranking(replace(query, count=wanted, offset=0), shop, exact=True)
            item = next((each for each in ranking.items if each.item_id == item_id), None)
            if item is not None:
                return Place("ranked", f"Rank {item.rank}, by source {item.source}.", item)
            if len(ranking.items) < wanted:
                break
        return self._why_missing(item_id, row, query, shop)

    def similar(
        self, query: SimilarQuery, *, overlay: ItemOverlay | None = None, rules: RankRules | None = None
    ) -> Ranking:
        """Rank items by the cosine of their vectors to that of the query's item, or by its row of the item table.

        For an item without a vector or a row the popular items of its category come first, then those of the whole
        shop. When everything that passes was seen, seen items are answered, degraded.

        Raises:
            ItemNotFound: neither the release nor the overlay knows the item.
        """
        shop = self._shop(overlay, rules)
        row = shop.items.row(query.item_id)
        if row is None:
            raise ItemNotFound(
                f"release {self.release.version} of tenant {self.release.manifest.tenant} does not know item "
                f"{query.item_id[:100]!r}; upload it, and it is known after the next release."
            )
        if query.seen:
            unseen = replace(query.filters, exclude_ids=(*query.filters.exclude_ids, *query.seen))
            ranking = self._similar(row, query, unseen, shop)
            if ranking.fallback_reason != "no_matching_item":
                return ranking
        ranking = self._similar(row, query, query.filters, shop)
        if query.seen and ranking.items:
            return replace(ranking, degraded=True, fallback_reason="all_seen")
        return ranking

    def items(self, overlay: ItemOverlay | None) -> CurrentItems:
        """Return the items of the release as the catalogue is under `overlay`."""
        return self._overlaid.under(overlay)

    def answerable(
        self,
        filters: Filters,
        removed: NDArray[np.int32],
        *,
        overlay: ItemOverlay | None = None,
        rules: RankRules | None = None,
    ) -> EligibleItems:
        """Return what an answer may contain, without the rows `removed` `(n,)`."""
        shop = self._shop(overlay, rules)
        return EligibleItems.of(self._views, shop.items, shop.rules, filters, also_removed=removed)

    def _similar(self, row: int, query: SimilarQuery, filters: Filters, shop: _Shop) -> Ranking:
        items = shop.items
        eligible = EligibleItems.of(self._views, items, shop.rules, filters, also_removed=np.array([row]))
        found = RankingBuilder(items, query.offset + query.count)
        found.add_pinned(eligible.pinned)
        fallback: Fallback | None = None
        nearest = self._alike(row, eligible)
        if nearest is not None:
            source: ItemSource = "content" if self._catalogue.from_content[row] else "model"
            if not found.add(self._diversified(nearest, query.diversity), partial(self._vector_sources, source)):
                fallback = "no_model_item"
        else:
            fallback = "popularity_release" if self._algorithm == "popularity" else "item_without_vector"
        if fallback is not None:
            found.add_popular(eligible.popular(found.taken(), only=items.category_of(row)))
        found.add_popular(eligible.popular(found.taken()))
        reasons = (lambda rows: [similarity_reason(items, row)] * len(rows)) if query.explain else None
        return found.ranking(fallback, self._algorithm, offset=query.offset, reasons=reasons)

    def _alike(self, row: int, eligible: EligibleItems) -> ByScore | None:
        """Return the items like the item in `row`: by the table, or by vectors; `None` when neither knows the item."""
        if self._algorithm == "popularity" or row >= self._catalogue.size:
            return None
        scores = self._table.alike(row) if self._table is not None else None
        if scores is not None:
            scored = ScoredItems(scores)
            return ByScore(scored.top, scored.among, lambda values: values, eligible.model_mask(), eligible.rules)
        if not self._catalogue.has_vector[row] or self._likeness.norms[row] == 0:
            return None
        return ByScore(
            top=partial(self._likeness.exact_cosine, row),
            among=partial(self._likeness.exact_cosine_among, row),
            scores=cosine_scores,
            allowed=eligible.model_mask() & (self._likeness.norms > 0),
            rules=eligible.rules,
        )

    def _ranking(self, query: RankingQuery, shop: _Shop, *, exact: bool = False) -> Ranking:
        history = self._history(query, shop.items)
        again = self._repeats(query, history, shop.items)
        seen = history.left_out(query.exclude_seen, again)
        eligible = self._eligible(query, shop, also_removed=seen)
        found = RankingBuilder(shop.items, query.offset + query.count, query.max_per_category)
        found.add_pinned(eligible.pinned)
        if again is not None:  # what remains are the items that are new to the user
            open_now = eligible.mask()
            open_now[found.taken()] = False
            again = again.among(open_now, shop.rules.groups)
            eligible = self._eligible(query, shop, also_removed=np.concatenate([seen, again.rows]))
        preference = self._preference(query, history)
        fallback, source = preference.fallback, preference.source
        if preference.taste is not None:
            reorder_for = query.user_id if source == "model" else None
            nearest = self._nearest(preference.taste, eligible, history, reorder_for, exact=exact)
            merged = self._diversified(among_new(nearest, again), query.diversity)
            model_items = found.add(merged, partial(self._vector_sources, source), again)
            out_of_order = self.second_stage_problem is not None and source == "model"
            fallback = "no_model_item" if not model_items else "second_stage_unavailable" if out_of_order else None
        degraded = fallback == "second_stage_unavailable"
        if not self._fill(found, eligible, query, again, visitor=not len(history.items)):
            fallback = "no_listed_item"
        if not found.rows and len(seen):
            found, fallback, degraded = self._seen_again(query, shop, history), "all_seen", True
        reasons = None
        if query.explain:
            told = preference.interests.without(shop.items.closed, shop.rules.hidden)
            reasons = partial(interest_reasons, shop.items, interests=told)
        return found.ranking(fallback, self._algorithm, offset=query.offset, reasons=reasons, degraded=degraded)

    def _seen_again(self, query: RankingQuery, shop: _Shop, history: UserHistory) -> RankingBuilder:
        """Fill an answer with what was seen, and what is disliked only where there is nothing else: none is empty."""
        eligible = self._eligible(query, shop, also_removed=history.disliked)
        if not eligible.mask().any():
            eligible = self._eligible(query, shop)
        found = RankingBuilder(shop.items, query.offset + query.count, query.max_per_category)
        found.add_pinned(eligible.pinned)
        self._fill(found, eligible, query, None, visitor=False)
        return found

    def _why_missing(self, item_id: str, row: int, query: RankingQuery, shop: _Shop) -> Place:
        items = shop.items
        if not items.is_listed(row) or not (items.is_available(row) or query.filters.include_unavailable):
            return Place("unavailable", "The item is deleted, not in the catalogue, or not available.")
        if row in shop.rules.hidden:
            return Place("filtered", "A rule hides the item.")
        if item_id in query.filters.exclude_ids or not self._eligible(query, shop).passing_mask()[row]:
            return Place("filtered", "The item does not pass the filters of the request.")
        history = self._history(query, items)
        again = self._repeats(query, history, items)
        if row in history.left_out(query.exclude_seen, again):
            lately = again is not None and row not in history.disliked and waits(self.release, query.user_id, row)
            return Place("seen", _BOUGHT_LATELY if lately else "The user has seen the item, or dislikes it.")
        return Place("filtered", "The list has as many items of this category as max_per_category allows.")

    def _shop(self, overlay: ItemOverlay | None, rules: RankRules | None) -> _Shop:
        items = self._overlaid.under(overlay)
        return _Shop(items, self._rules.under(rules, items))

    def _eligible(self, query: RankingQuery, shop: _Shop, also_removed: NDArray[np.int32] = NO_ROWS) -> EligibleItems:
        return EligibleItems.of(self._views, shop.items, shop.rules, query.filters, also_removed=also_removed)

    def _history(self, query: RankingQuery, items: CurrentItems) -> UserHistory:
        release, user_id = self.release, query.user_id
        user_row = release.user_rows.get(user_id) if user_id is not None else None
        before = release.history(user_id)
        recent, weights = NO_ROWS, _NO_WEIGHTS
        if query.recent_items or query.recent_weights is not None:
            recent, weights = known_events(items.row, query.recent_items, query.recent_weights)
        disliked = release.disliked_items(user_row)
        if len(weights) and weights.min() < 0:
            rows, sums = distinct(recent, weights)
            disliked = np.concatenate([disliked, rows[sums < 0]])
        return UserHistory(before, recent, weights, disliked)

    def _repeats(self, query: RankingQuery, history: UserHistory, items: CurrentItems) -> RepeatItems | None:
        """Return what the user may buy again by now; `None` where nothing may, or seen items stay out."""
        if query.exclude_seen or query.strategy != "personal":
            return None
        bought = [row for row in map(items.row, query.bought) if row is not None]
        stays_out = np.concatenate([history.disliked, np.array(bought, dtype=np.int32)])
        return repeats_now(self.release, query.user_id, days=query.days, stays_out=stays_out)

    def _preference(self, query: RankingQuery, history: UserHistory) -> Preference:
        if query.strategy != "personal":
            return NO_PREFERENCE
        if self._table is not None:
            return by_table(self.release, self._table, query, history)
        if (encoder := self.release.sequence_encoder) is not None:
            return by_sequence(self.release, encoder, self._likeness.vectors, query, history)
        return by_vector(self.release, self._likeness.vectors, query, history)

    def _nearest(
        self,
        taste: NDArray[np.float32] | ScoredItems,
        eligible: EligibleItems,
        history: UserHistory,
        reorder_for: str | None,
        *,
        exact: bool,
    ) -> ByScore:
        """Return the items nearest to a vector `(d,)`, or those with the greatest scores.

        The second stage was trained and measured on users with a vector of their own: `reorder_for` is such a user.
        """
        if isinstance(taste, ScoredItems):
            return ByScore(taste.top, taste.among, table_scores, eligible.model_mask(), eligible.rules)
        search, vector = self.search, taste
        scale = length(vector) * search.typical_norm
        top = partial(search.top, allowed_before=eligible.passing, removed=eligible.taken_out)
        reorder = None
        if self._second_stage is not None and reorder_for is not None:
            items = history.items
            known = items[items < self._catalogue.size]
            user_row, order = self.release.user_rows[reorder_for], self._second_stage.order
            reorder = lambda rows, products, allowed: order(  # noqa: E731
                user_row, vector, rows, products, known, allowed
            )
        return ByScore(
            top=partial(search.exact if exact else top, vector),
            among=partial(search.exact_among, vector),
            scores=partial(model_scores, scale=scale),
            allowed=eligible.model_mask(),
            rules=eligible.rules,
            reorder=reorder,
        )

    def _fill(
        self,
        found: RankingBuilder,
        eligible: EligibleItems,
        query: RankingQuery,
        again: RepeatItems | None,
        *,
        visitor: bool,
    ) -> bool:
        """Fill up an answer; tell whether there was anything of what the strategy asks for."""
        diversified = partial(self._diversified, diversity=query.diversity)
        return self._listings.fill(found, eligible, query.strategy, diversified, again=again, visitor=visitor)

    def _diversified(self, candidates: Candidates, diversity: float | None) -> Candidates:
        if not diversity:
            return candidates
        vectors = self._likeness.vectors.__getitem__ if self._table is None else self._table.likeness
        return Diversified(candidates, vectors, self._catalogue.size, diversity)

    def _vector_sources(self, source: ItemSource, rows: NDArray[np.int32]) -> list[ItemSource]:
        """An item whose own vector is from content says so, whatever ranked it."""
        if not self._any_from_content:
            return [source] * len(rows)
        return ["content" if content else source for content in self._catalogue.from_content[rows].tolist()]

"""The context of an answer: a release, what its tenant changed since, the rules in force, what the user did since.

Every answer is made from what `serving_context` returns: those of the HTTP routes, of batches, of BentoML's endpoints,
of why-not, of packages, of commands and of exports.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from resources.base.tenant import TenantId
from resources.events.recent import Latest, RecentEvents, RecentInteractions
from resources.ranker.baskets.bundle import bundle, unknown_items
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.fold_in import event_weight
from resources.ranker.query import BOUGHT, BundleQuery, RankingQuery, SimilarQuery
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Place, Ranking
from resources.recommendations.tenant_state import TenantState
from resources.release.load import LoadedRelease


@dataclass(frozen=True, slots=True)
class Visitor:
    """A user of a tenant, a visit of its shop, both, or a stranger: whom an answer is for."""

    tenant: TenantId
    user_id: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ServingContext:
    """Everything that one answer depends on besides its query, as it was at one moment.

    Attributes:
        ranker: over the release that answers.
        state: the tenant's changes of items and its rules.
        rule_ids: the rules that are in force, oldest first.
        interactions: of the visitor since the release.
        at: the moment.
        scenario: where the answer is shown.
        problem: why this is not the release that the tenant's pointer names; `None` when it is.
    """

    visitor: Visitor
    ranker: Ranker
    state: TenantState
    rule_ids: tuple[str, ...]
    interactions: RecentInteractions
    at: datetime
    scenario: str | None = None
    problem: str | None = None

    @property
    def release(self) -> LoadedRelease:
        """Return the release that answers."""
        return self.ranker.release

    @property
    def rules(self) -> RankRules:
        """Return the rules in force, as the ranker takes them; the first time this may take long."""
        return self.state.resolved(self.rule_ids, self.release.catalogue)

    @property
    def key(self) -> tuple[str, str, int, tuple[str, ...]]:
        """Return what all answers to one query depend on: in contexts with one key they are the same."""
        return self.visitor.tenant.value, self.release.version, self.state.version, self.rule_ids

    def personalised(self, query: RankingQuery, *, current_item: str | None = None) -> RankingQuery:
        """Return the query with the interactions since the release, in front of those that it brings along, and with
        what the tenant wants of seen items where the query leaves that open.

        `current_item` stands for the interactions of somebody who had none and whom the release does not know. Without
        it all of them ask the same, so that one kept answer is theirs.
        """
        query = self._with_repeats(query)
        since = self.interactions
        if since.items:
            brought = query.recent_weights or (1.0,) * len(query.recent_items)
            return replace(
                query,
                recent_items=(*since.items, *query.recent_items),
                recent_weights=(*map(event_weight, since.types), *brought),
            )
        if query.recent_items or (query.user_id is not None and query.user_id in self.release.user_rows):
            return query
        if current_item is not None:
            return replace(query, recent_items=(current_item,), recent_weights=(event_weight(None),))
        return query if query.user_id is None else replace(query, user_id=None)

    def _with_repeats(self, query: RankingQuery) -> RankingQuery:
        """Settle what is left out; where something may be bought again, tell what was bought since, and the days.

        A shop whose repeats are no purchases has any interaction count as one.
        """
        curve, excluded = self.release.manifest.repeats, query.exclude_seen
        if excluded is None and self.state.exclude_seen != "auto":
            excluded = self.state.exclude_seen == "always"
        if excluded is None and curve is None:
            excluded = True
        if excluded or curve is None or self.release.repeats_of(query.user_id) is None:
            return query if excluded == query.exclude_seen else replace(query, exclude_seen=excluded)
        since = zip(self.interactions.items, self.interactions.types, strict=True)
        bought = [item for item, kind in since if not curve.purchases or kind in BOUGHT]
        brought = query.bought if curve.purchases else query.recent_items
        until = self.release.manifest.events_until or self.release.manifest.trained_at
        days = max((self.at - until).days, 0)
        return replace(query, exclude_seen=excluded, bought=(*bought, *brought), days=days)

    def without_seen(self, query: SimilarQuery) -> SimilarQuery:
        """Return the query with all items that the visitor, if it is a user, has seen or dislikes."""
        user_id, release = self.visitor.user_id, self.release
        if user_id is None:
            return query
        seen = release.catalogue.item_ids(release.history(user_id))
        return replace(query, seen=(*query.seen, *seen, *self._disliked_before(), *self.interactions.items))

    def bundled(self, query: BundleQuery, *, exclude_seen: bool) -> BundleQuery:
        """Return the query with what the visitor dislikes, and all that the visitor has seen if that is wanted."""
        user_id, since = self.visitor.user_id, self.interactions
        if exclude_seen:
            seen = self.release.catalogue.item_ids(self.release.history(user_id))
            return replace(query, seen=(*query.seen, *seen, *self._disliked_before(), *since.items))
        sums: dict[str, float] = {}
        for item_id, kind in zip(since.items, since.types, strict=True):
            sums[item_id] = sums.get(item_id, 0) + event_weight(kind)
        disliked = (item_id for item_id, weight in sums.items() if weight < 0)
        return replace(query, seen=(*query.seen, *self._disliked_before(), *disliked))

    def recommend(self, query: RankingQuery) -> Ranking:
        """Rank items for a query that is `personalised`."""
        return self.ranker.recommend(query, overlay=self.state.overlay, rules=self.rules)

    def similar(self, query: SimilarQuery) -> Ranking:
        """Rank items like one item.

        Raises:
            ItemNotFound: the tenant has no such item.
        """
        return self.ranker.similar(query, overlay=self.state.overlay, rules=self.rules)

    def bundle(self, query: BundleQuery) -> Ranking:
        """Rank what goes with a basket.

        Raises:
            ItemNotFound: the tenant has none of the items.
        """
        return bundle(self.ranker, query, overlay=self.state.overlay, rules=self.rules)

    def unknown(self, query: BundleQuery) -> tuple[str, ...]:
        """Return the ids of a basket that the tenant has no item of."""
        return unknown_items(self.ranker, query.item_ids, overlay=self.state.overlay)

    def place(self, item_id: str, query: RankingQuery) -> Place:
        """Tell where an item is in the whole list for a query that is `personalised`."""
        return self.ranker.place(item_id, query, overlay=self.state.overlay, rules=self.rules)

    def _disliked_before(self) -> list[str]:
        user_id, release = self.visitor.user_id, self.release
        row = release.user_rows.get(user_id) if user_id is not None else None
        return release.catalogue.item_ids(release.disliked_items(row))


def serving_context(
    visitor: Visitor,
    ranker: Ranker,
    state: TenantState,
    interactions: RecentInteractions,
    *,
    at: datetime,
    scenario: str | None = None,
    problem: str | None = None,
) -> ServingContext:
    """Put together what an answer is made from: `state` is on the ranker's release, `interactions` are of `latest`."""
    return ServingContext(
        visitor=visitor,
        ranker=ranker,
        state=state,
        rule_ids=state.active(scenario, at),
        interactions=interactions,
        at=at,
        scenario=scenario,
        problem=problem,
    )


def latest(events: RecentEvents, visitor: Visitor, release: LoadedRelease) -> Latest:
    """Read what the visitor did since the release, and how often the tenant's items and rules have changed.

    A user whom the release knows counts with the events after it and with what the visit did before it was theirs;
    anybody else with all events that are theirs or the visit's.
    """
    tenant, user_id, session_id = visitor.tenant, visitor.user_id, visitor.session_id
    after = release.manifest.event_watermark if user_id is not None and user_id in release.user_rows else 0
    if session_id is not None:
        return events.of_visitor(tenant, user_id, session_id, after=after)
    return events.of_user(tenant, user_id, after=after)

"""Answers outside the service, of commands and exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.events.recent import NO_INTERACTIONS, RecentEvents, open_recent_events
from resources.ranker.query import BundleQuery, RankingQuery, SimilarQuery, Strategy
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from resources.recommendations.context import ServingContext, Visitor, latest, serving_context
from resources.recommendations.tenant_state import TenantState


@dataclass(frozen=True, slots=True)
class OfflineAnswers:
    """Answers for one tenant from one context; a user's events are read anew for each answer."""

    context: ServingContext
    events: RecentEvents

    def recommend(
        self, user: str, k: int, *, explain: bool = True, active: bool = True, strategy: Strategy = "personal"
    ) -> Ranking:
        """Rank `k` items for a user; not `active`: nothing happened since the release, so nothing is read."""
        visitor = replace(self.context.visitor, user_id=user)
        since = latest(self.events, visitor, self.context.release).interactions if active else NO_INTERACTIONS
        context = replace(self.context, visitor=visitor, interactions=since)
        query = RankingQuery(user, k, exclude_seen=None, explain=explain, strategy=strategy)
        return context.recommend(context.personalised(query))

    def similar(self, item_id: str, k: int) -> Ranking:
        """Rank `k` items like one item.

        Raises:
            ItemNotFound: the tenant has no such item.
        """
        return self.context.similar(SimilarQuery(item_id, k))

    def bundle(self, item_ids: tuple[str, ...], k: int) -> Ranking:
        """Rank `k` items that go with a basket.

        Raises:
            ItemNotFound: the tenant has none of the items.
        """
        return self.context.bundle(BundleQuery(tuple(sorted(set(item_ids))), k))


@contextmanager
def offline_answers(
    db: ControlDb, tenant: TenantId, ranker: Ranker, *, now: datetime, scenario: str | None = None
) -> Iterator[OfflineAnswers]:
    """Read what the tenant has changed since the release, and which rules hold at `now`."""
    state = TenantState.load(db, tenant, ranker.release)
    context = serving_context(Visitor(tenant), ranker, state, NO_INTERACTIONS, at=now, scenario=scenario)
    events = open_recent_events(db)
    try:
        yield OfflineAnswers(context, events)
    finally:
        events.close()

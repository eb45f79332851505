"""Answers outside the service, of the same parts: the release, the tenant's changes and rules, the newest events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.events.recent import LiveReads, live_reads
from resources.ranker.eligibility.overlay import ItemOverlay
from resources.ranker.eligibility.rules import RankRules
from resources.ranker.fold_in import event_weight
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from resources.recommendations.tenant_state import TenantState


@dataclass(frozen=True, slots=True)
class AsServed:
    """What one tenant's answers are made of at one moment; events are read anew for each answer."""

    tenant: TenantId
    ranker: Ranker
    reads: LiveReads
    overlay: ItemOverlay
    rules: RankRules

    def recommend(self, user: str, k: int, *, explain: bool = True, active: bool = True) -> Ranking:
        """Rank `k` items for a user; not `active`: nothing happened since the release, so nothing is read."""
        release = self.ranker.release
        after = release.manifest.event_watermark if user in release.user_rows else 0
        touches = self.reads.of_user(self.tenant, user, after=after).touches if active else None
        return self.ranker.recommend(
            user,
            k,
            live_items=touches.items if touches is not None else (),
            live_weights=[event_weight(kind) for kind in touches.types] if touches is not None else None,
            explain=explain,
            overlay=self.overlay,
            rules=self.rules,
        )

    def similar(self, item_id: str, k: int) -> Ranking:
        """Find `k` items like one item.

        Raises:
            ItemNotFound: the tenant has no such item.
        """
        return self.ranker.similar(item_id, k, overlay=self.overlay, rules=self.rules)


@contextmanager
def as_served(
    db: ControlDb, tenant: TenantId, ranker: Ranker, *, now: datetime, scenario: str | None = None
) -> Iterator[AsServed]:
    """Read what the tenant has changed since the release, and which rules hold at `now`."""
    state = TenantState.load(db, tenant, ranker.release)
    rules = state.rules_for(scenario, now, ranker.release.catalogue)
    reads = live_reads(db)
    try:
        yield AsServed(tenant, ranker, reads, state.overlay, rules)
    finally:
        reads.close()

"""Changes of a tenant since its release was made, which hold at once: of items, of merchandising rules, and of how
answers are made.

Immutable. A worker keeps the state of a tenant for as long as `state_version` and the release stay the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from weakref import WeakKeyDictionary

from resources.base.tenant import TenantId
from resources.catalogue.changes import overlay_of
from resources.control_db.engine import ControlDb
from resources.control_db.items import deleted_items, read_item_changes
from resources.control_db.rules import read_rules
from resources.control_db.tenants import read_serving
from resources.control_db.versions import read_state_version
from resources.merchandising.rules import Rule
from resources.merchandising.targets import rank_rules
from resources.ranker.eligibility.overlay import NO_CHANGES, ItemOverlay
from resources.ranker.eligibility.rules import NO_RULES, RankRules
from resources.release.catalogue import Catalogue
from resources.release.load import LoadedRelease
from resources.tenants.settings import SeenItems

_KEPT = 64


@dataclass(frozen=True, slots=True, eq=False)
class TenantState:
    """The state of one tenant on top of one release.

    Attributes:
        version: the tenant's number (`state_version`) when this was read.
        release: version of the release it is for; empty when nothing was ever changed.
        last_change: number of the newest change of an item that it holds.
        overlay: changes of items that the release has not seen; the same object until an item changes.
        rules: all rules, oldest first, whether or not they hold now.
        exclude_seen: the tenant's `serving.exclude_seen`.
    """

    version: int = 0
    release: str = ""
    last_change: int = 0
    overlay: ItemOverlay = NO_CHANGES
    rules: tuple[Rule, ...] = ()
    exclude_seen: SeenItems = "auto"
    _resolved: WeakKeyDictionary[Catalogue, dict[tuple[str, ...], RankRules]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    @classmethod
    def load(
        cls, db: ControlDb, tenant: TenantId, release: LoadedRelease, *, before: TenantState | None = None
    ) -> TenantState:
        """Read what the tenant has changed on top of `release`, in one transaction; blocks on the control DB.

        Args:
            before: an earlier state of the tenant: on the same release, only what has changed since is read.
        """
        start, after, gone = NO_CHANGES, release.manifest.item_watermark, frozenset[str]()
        again = before is not None and before.version > 0 and before.release == release.version
        if before is not None and again:
            start, after = before.overlay, before.last_change
        with db.read() as session:
            version = read_state_version(session, tenant)
            if version == 0:
                return cls()
            changes = read_item_changes(session, tenant, after=after)
            # A release without a catalogue serves every id that was interacted with, deleted before or not.
            if not again and not release.catalogue.has_catalogue:
                gone = deleted_items(session, tenant, up_to=after)
            rules = read_rules(session, tenant)
            serving = read_serving(session, tenant)
        return cls(
            version=version,
            release=release.version,
            last_change=changes[-1].seq if changes else after,
            overlay=overlay_of(changes, known=release.item_rows, start=ItemOverlay(gone) if gone else start),
            rules=rules,
            exclude_seen=serving.exclude_seen,
        )

    def active(self, scenario: str | None, now: datetime) -> tuple[str, ...]:
        """Return the ids of the rules that hold in an answer of this scenario at this time, oldest first.

        A rule begins and ends without a change of `version`: cached answers are good for the same ids only.
        """
        return tuple(rule.id for rule in self.rules if rule.holds(scenario, now)) if self.rules else ()

    def resolved(self, rule_ids: tuple[str, ...], catalogue: Catalogue) -> RankRules:
        """Return these rules resolved to items of the release; the same object for the same rules.

        Resolving a rule about a category takes time with the size of the category, once per state and release.
        """
        if not rule_ids:
            return NO_RULES
        with self._lock:
            known = self._resolved.setdefault(catalogue, {})
            found = known.get(rule_ids)
        if found is None:
            wanted = frozenset(rule_ids)
            found = rank_rules([rule for rule in self.rules if rule.id in wanted], catalogue, self.overlay)
            with self._lock:
                if len(known) >= _KEPT:
                    known.clear()
                found = known.setdefault(rule_ids, found)
        return found

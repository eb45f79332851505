"""What the demo shop needs of the service: its tenant, a key for its visitors' browsers, and people to shop as."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from resources.access.actor import Actor
from resources.access.key_kinds import BROWSER_SCOPES, OWN_PAGES, KeyTerms
from resources.base.errors import NotFound
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.control_db.api_keys import authenticate, make_api_key, revoke_api_key
from resources.control_db.engine import ControlDb
from resources.control_db.tenants import active_tenant
from resources.release.folder import locked
from resources.release.load import LoadedRelease
from resources.storage.disk import written_whole

_KEY_NAME = "demo shop page"
_SHOP = Actor(kind="system", id="demo-shop", name="demo shop", source="page")
_CATEGORIES = 14
_LOOKED_AT = 2_000
_SHOPPERS = 5
_FEWEST_SEEN = 5


@dataclass(frozen=True, slots=True)
class DemoShop:
    """The shop at `/shop`. Every call blocks on the control DB or the disk."""

    settings: Settings
    db: ControlDb
    clock: Clock

    @property
    def tenant(self) -> TenantId:
        """Whom the shop sells for.

        Raises:
            NotFound: this service has no demo shop.
        """
        if not self.settings.demo_tenant:
            raise NotFound(
                "This service has no demo shop. Name a tenant in RECSAAS_DEMO_TENANT and start it again; "
                "`recsaas demo` does so by itself."
            )
        return TenantId.parse(self.settings.demo_tenant)

    def name(self) -> str:
        """What the shop is called.

        Raises:
            Forbidden: its tenant is suspended: the shop is closed.
        """
        return active_tenant(self.db, self.tenant).name

    def key(self) -> str:
        """Return the key of the page: the same for all workers, and a new one when it was revoked."""
        tenant = self.tenant
        folder = self.settings.home / "demo-shop"
        with locked(folder):
            file = folder / f"{tenant}.key"
            secret = file.read_text() if file.is_file() else ""
            now = self.clock()
            known = authenticate(self.db, secret, now=now) if secret else None
            if known is None or known.tenant != tenant or known.kind != "browser":
                terms = KeyTerms(name=_KEY_NAME, scopes=BROWSER_SCOPES, kind="browser", origins=(OWN_PAGES,))
                new = make_api_key(self.db, tenant, terms, now=now, by=_SHOP).secret
                if known is not None and known.tenant == tenant:  # of an earlier version: good outside of pages, too
                    revoke_api_key(self.db, tenant, known.id, now=now, by=_SHOP)
                secret = str(new)
                with written_whole(file) as beside:
                    beside.write_text(secret)
                    beside.chmod(0o600)
        return secret


def categories_of(release: LoadedRelease) -> tuple[str, ...]:
    """Return the categories with the most items among the popular ones, by name."""
    rows = release.catalogue.popular_rows[:_LOOKED_AT].tolist()
    counts = Counter(card.category for row in rows if (card := release.catalogue.card(row)).category)
    return tuple(sorted(name for name, _ in counts.most_common(_CATEGORIES) if name is not None))


def shoppers_of(release: LoadedRelease) -> tuple[str, ...]:
    """Return some users with a history, from a short one to a long one, so that the answers differ."""
    seen = np.diff(release.seen_indptr)
    rows = np.flatnonzero(seen >= min(_FEWEST_SEEN, int(seen.max(initial=1))))
    ordered = rows[np.argsort(seen[rows], kind="stable")]
    picks = np.unique(np.linspace(0, len(ordered) - 1, _SHOPPERS).astype(np.int64)) if len(ordered) else ordered
    user_ids = list(release.user_rows)  # in the order of their rows
    return tuple(user_ids[row] for row in ordered[picks].tolist())

"""Fuzz of the real graph: settings, rows, events, changes of items and rules that no way in takes today.

Whatever is stored, the run ends well, or says that there is nothing to learn yet; and what a run has released answers.
A failure names its seed: `RECSAAS_FUZZ_SEED` replays it alone.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from pathlib import Path

from recsaas_assets.features.dbt_invocation import PROJECT_DIR
from recsaas_assets.features.dbt_manifest import parse_manifest
from resources.base.tenant import TenantId
from resources.ranker.ranker import Ranker
from resources.recommendations.offline import offline_answers
from resources.release.load import load_release
from resources.stores.tenant_store import TenantStore
from resources.training.readiness import measure_readiness
from resources.uploads.tenant_quality import tenant_quality
from tests.defs.site import Site
from tests.hostile.poison import Poisoned, poison

TENANTS = 24


def test_no_stored_value_stops_a_tenant(tmp_path: Path) -> None:
    site = Site(tmp_path / "home")
    parse_manifest(PROJECT_DIR, site.settings.dbt_target)
    wanted = os.environ.get("RECSAAS_FUZZ_SEED")
    stopped = []
    for seed in [int(wanted)] if wanted else range(TENANTS):
        poisoned = poison(site, f"t{seed}", random.Random(seed))
        stopped += _why_stopped(site, poisoned, seed)
    assert stopped == []


def _why_stopped(site: Site, poisoned: Poisoned, seed: int) -> list[str]:
    outcome = site.run(poisoned.tenant)
    tenant = TenantId(poisoned.tenant)
    store = TenantStore(site.whole_lake, site.db, tenant)
    tenant_quality(store, now=datetime.now(UTC))
    measure_readiness(store)
    if not outcome.success:
        ready = (outcome.message or "").startswith("Not ready: ")
        return [] if ready else [f"seed {seed}: {outcome.failed_step}: {outcome.message} {poisoned}"]
    version = site.releases(poisoned.tenant).current()
    if version is None:
        return [f"seed {seed}: no release {poisoned}"]
    ranker = Ranker(load_release(site.releases(poisoned.tenant).directory(version)))
    with offline_answers(site.db, tenant, ranker, now=datetime.now(UTC)) as answers:
        for user in ("u001", "new", "\u200b"):
            answers.recommend(user, 10)
    return []

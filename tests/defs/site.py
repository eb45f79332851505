"""A whole installation in a temporary folder, and invented shops small enough to train in a second."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest

from recsaas_assets.instance.home import RunOutcome, run_tenant
from resources.base.settings import Settings, load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import create_tenant, get_tenant
from resources.release.store import ReleaseStore
from resources.storage.lake import Lake, TenantLake
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import store_upload

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
INTERACTION_COLUMNS = "user_id,item_id,interaction_type,timestamp"


@contextmanager
def recsaas_home(home: Path) -> Iterator[None]:
    """What `export RECSAAS_HOME=…` does, for as long as the block lasts; one thread, as tests share their cores."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECSAAS_HOME", str(home))
        environment.setenv("RECSAAS_TRAINING_THREADS", "1")
        yield


@dataclass(frozen=True)
class Site:
    """An installation below `home`."""

    home: Path

    @cached_property
    def settings(self) -> Settings:
        return load_settings(self.home)

    @cached_property
    def db(self) -> ControlDb:
        return open_control_db(self.settings.database_url)

    @property
    def whole_lake(self) -> Lake:
        return Lake.open(self.settings.lake_url, scratch=self.settings.scratch, s3_endpoint=self.settings.s3_endpoint)

    def lake(self, tenant: str) -> TenantLake:
        return self.whole_lake.tenant(TenantId(tenant))

    def releases(self, tenant: str) -> ReleaseStore:
        return ReleaseStore(self.lake(tenant))

    def create(self, *tenants: str) -> None:
        for tenant in tenants:
            create_tenant(self.db, TenantId(tenant), name=tenant.title(), now=FIRST_DAY)

    def upload(self, tenant: str, kind: Kind, csv: str, *, now: datetime | None = None) -> UploadReport:
        return store_upload(
            TenantStore(self.whole_lake, self.db, TenantId(tenant)),
            IncomingUpload(
                kind, csv.encode(), filename=f"{kind}.csv", origin="cli", received_at=now or datetime.now(UTC)
            ),
            UploadPolicy(get_tenant(self.db, TenantId(tenant)).settings, max_bytes=10_000_000),
        )

    def run(self, tenant: str) -> RunOutcome:
        """Run the whole job as `recsaas run` does."""
        with recsaas_home(self.home):
            return run_tenant(self.settings, self.db, TenantId(tenant))


def items_csv(prefix: str, items: int = 24) -> str:
    """Catalogue of a shop whose every id starts with `prefix`."""
    rows = [f"{prefix}i{n:03},Item {n},{'left' if n % 2 else 'right'},{n + 1}.50" for n in range(items)]
    return "\n".join(["item_id,title,category,price", *rows, ""])


def users_csv(prefix: str, users: int = 80) -> str:
    """Users of that shop."""
    return "\n".join(["user_id,country", *(f"{prefix}u{n:03},DE" for n in range(users)), ""])


def interactions_csv(prefix: str, users: int = 80, items: int = 24, rows: int = 900, seed: int = 1) -> str:
    """Odd users like odd items and even users even ones, so that LightGCN has something to win by."""
    rng = random.Random(seed)
    lines = [INTERACTION_COLUMNS]
    for row in range(rows):
        user, item = rng.randrange(users), rng.randrange(items)
        if item % 2 != user % 2 and rng.random() < 0.9:
            item ^= 1
        when = FIRST_DAY + timedelta(minutes=97 * row)
        kind = rng.choice(("view", "view", "click", "purchase"))
        lines.append(f"{prefix}u{user:03},{prefix}i{item:03},{kind},{when:%Y-%m-%dT%H:%M:%SZ}")
    return "\n".join([*lines, ""])


def open_shop(site: Site, tenant: str, prefix: str, *, seed: int = 1) -> None:
    """Upload the three files of a shop."""
    site.upload(tenant, Kind.ITEMS, items_csv(prefix))
    site.upload(tenant, Kind.USERS, users_csv(prefix))
    site.upload(tenant, Kind.INTERACTIONS, interactions_csv(prefix, seed=seed))

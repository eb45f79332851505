"""The Dagster face of the leaf: the only file here that knows Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import ConfigurableResource, InitResourceContext
from pydantic import PrivateAttr

from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.runs import note_stage
from resources.control_db.tenants import Tenant, get_tenant
from resources.decisions.store import DecisionStore, open_decisions
from resources.lake import Lake, TenantLake
from resources.listing import StoredFile, list_files, objects_as_files
from resources.run_lock import tenant_run_lock
from resources.settings import Settings, load_settings
from resources.tenant import TenantId

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource

_PARTITION_TAG = "dagster/partition"
_LONGEST_WAIT_SECONDS = 3600.0


class PlatformResource(ConfigurableResource):  # type: ignore[type-arg]
    """Settings, lake and control DB for sensors, which look at all tenants."""

    home: str = ""

    _settings: Settings | None = PrivateAttr(default=None)
    _db: ControlDb | None = PrivateAttr(default=None)
    _decisions: DecisionStore | None = PrivateAttr(default=None)

    @property
    def settings(self) -> Settings:
        """The installation's settings; read once."""
        if self._settings is None:
            self._settings = load_settings(Path(self.home) if self.home else None)
        return self._settings

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake.open(self.settings.lake_url, scratch=self.settings.scratch, s3_endpoint=self.settings.s3_endpoint)

    @property
    def s3(self) -> S3Resource:
        """The connection to the lake's object store; its credentials are the usual AWS ones."""
        from dagster_aws.s3 import S3Resource  # a second of import time, which a lake in a folder need not pay

        return S3Resource(endpoint_url=self.settings.s3_endpoint or None, max_attempts=2)

    def list_landing(self) -> Iterator[StoredFile]:
        """Everything in everybody's landing folders, in one listing.

        Raises:
            LakeUnavailable, ConfigurationError: the object store cannot be listed.
        """
        root = self.lake.landing_root
        if isinstance(root, Path):
            yield from list_files(root)
            return
        from resources.object_store import bucket_and_prefix, explained

        bucket, prefix = bucket_and_prefix(root)
        with explained():
            pages = self.s3.get_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for page in pages:
                yield from objects_as_files(page.get("Contents", ()), prefix)

    @property
    def db(self) -> ControlDb:
        """The control DB; opened once."""
        if self._db is None:
            self._db = open_control_db(self.settings.database_url)
        return self._db

    @property
    def decisions(self) -> DecisionStore:
        """The decision log; opened once."""
        if self._decisions is None:
            self._decisions = open_decisions(self.settings.decisions_url)
        return self._decisions

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Give the connections back: Dagster makes a new resource for every run and every tick of a sensor."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._decisions is not None:
            self._decisions.close()
            self._decisions = None


class TenantRunResource(ConfigurableResource):  # type: ignore[type-arg]
    """Everything an asset of one tenant's run needs. Held from the first step to the last, with the tenant's lock."""

    platform: PlatformResource

    _tenant: TenantId = PrivateAttr()
    _run_id: str = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[TenantRunResource]:
        """Take the tenant's run lock for as long as the run's process works."""
        run = context.run
        if run is None or _PARTITION_TAG not in run.tags:
            raise ValueError("This asset is materialised per tenant: choose a partition, or use `recsaas run TENANT`.")
        self._tenant = TenantId.parse(run.tags[_PARTITION_TAG])
        self._run_id = run.run_id
        log = context.log
        with tenant_run_lock(
            self.platform.settings.home,
            self._tenant,
            wait_seconds=_LONGEST_WAIT_SECONDS,
            run_id=self._run_id,
            on_wait=log.info if log is not None else None,
        ):
            yield self

    @property
    def tenant_id(self) -> TenantId:
        """The tenant of this run."""
        return self._tenant

    @property
    def run_id(self) -> str:
        """The Dagster run."""
        return self._run_id

    @property
    def settings(self) -> Settings:
        """The installation's settings."""
        return self.platform.settings

    @property
    def db(self) -> ControlDb:
        """The control DB."""
        return self.platform.db

    @property
    def lake(self) -> TenantLake:
        """The tenant's part of the lake."""
        return self.platform.lake.tenant(self._tenant)

    @property
    def whole_lake(self) -> Lake:
        """The lake, for the landing folder."""
        return self.platform.lake

    def tenant(self) -> Tenant:
        """The tenant's record. Raises TenantNotFound when the partition has no tenant in the control DB."""
        return get_tenant(self.db, self._tenant)

    def stage(self, name: str) -> None:
        """Note in the control DB that the run has reached stage `name`."""
        note_stage(self.db, self._tenant, self._run_id, name, now=datetime.now(UTC))

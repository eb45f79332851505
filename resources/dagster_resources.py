"""The Dagster face of the leaf: the only file here that knows Dagster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import structlog
from dagster import ConfigurableResource, DagsterInstance, InitResourceContext
from dagster._core.errors import DagsterExecutionInterruptedError
from pydantic import JsonValue, PrivateAttr
from sqlalchemy.exc import SQLAlchemyError

from resources.base.settings import Settings, load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import Tenant, get_tenant
from resources.decisions.store import DecisionStore, open_decisions
from resources.jobs.kinds.training import TrainingJob, begin_training_job, is_cancelled, note_release
from resources.storage.lake import Lake, TenantLake
from resources.stores.locks import RunLock, run_lock
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TrainingSettings
from resources.training.runs import STOPPED, note_cost, note_end, note_stage
from resources.webhooks.announcing import announce

PARTITION_TAG = "dagster/partition"
"""The tag of a run of one tenant; its value is the id of the tenant. Dagster exports no name for it."""
_LONGEST_WAIT_SECONDS = 3600.0
TRAINING_JOB_TAG = "recsaas/training_job"
"""The tag of a run that a training job asked for; its value is the id of the job."""
_SECONDS_BETWEEN_LOOKS = 1.0
_log = structlog.get_logger("recsaas.runs")


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
    _instance: DagsterInstance | None = PrivateAttr(default=None)
    _lock: RunLock | None = PrivateAttr(default=None)
    _job: TrainingJob | None = PrivateAttr(default=None)
    _looked_at: float = PrivateAttr(default=-_SECONDS_BETWEEN_LOOKS)
    _stop: bool = PrivateAttr(default=False)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[TenantRunResource]:
        """Take the tenant's run lock for as long as the run's process works."""
        run = context.run
        if run is None or PARTITION_TAG not in run.tags:
            raise ValueError("This asset is materialised per tenant: choose a partition, or use `recsaas run TENANT`.")
        self._tenant = TenantId.parse(run.tags[PARTITION_TAG])
        self._run_id = run.run_id
        self._instance = context.instance
        log = context.log
        with run_lock(
            self.db,
            self.platform.settings.home,
            self._tenant,
            wait_seconds=_LONGEST_WAIT_SECONDS,
            run_id=self._run_id,
            on_wait=log.info if log is not None else None,
        ) as self._lock:
            if (job_id := run.tags.get(TRAINING_JOB_TAG)) is not None:
                self._job = begin_training_job(self.db, self._tenant, job_id, run_id=run.run_id, now=datetime.now(UTC))
            try:
                yield self
            finally:
                self._note_cost()

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
    def store(self) -> TenantStore:
        """The stored data of the tenant."""
        return TenantStore(self.platform.lake, self.platform.db, self._tenant)

    @property
    def whole_lake(self) -> Lake:
        """The lake, for the landing folder."""
        return self.platform.lake

    def tenant(self) -> Tenant:
        """The tenant's record. Raises TenantNotFound when the partition has no tenant in the control DB."""
        return get_tenant(self.db, self._tenant)

    def training(self) -> TrainingSettings:
        """Training settings of this run: the tenant's, and above them what its training job asks for."""
        settings = self.tenant().settings.training
        return settings if self._job is None else self._job.request.over(settings)

    @property
    def auto_deploy(self) -> bool:
        """Whether a release that passes the gate goes live."""
        return self._job is None or self._job.request.auto_deploy

    def note_release(self, version: str, *, live: bool, reasons: Sequence[str]) -> None:
        """Note in the run's training job, if it has one, which release the run has written; tell of one that is held.

        `reasons` are the gate's. That one is live is told by what moves the pointer.
        """
        if self._job is not None and self._is_ours(self._job):
            note_release(self.db, self._tenant, self._job.id, version=version, deployed=live)
        if live:
            return
        told: dict[str, JsonValue] = {"version": version, "run_id": self._run_id, "reasons": list(reasons)}
        with self.db.write() as session:
            announce(session, self._tenant, "release.held", told, now=datetime.now(UTC))

    def stage(self, name: str) -> None:
        """Note in the control DB that the run has reached stage `name`.

        Raises:
            DagsterExecutionInterruptedError: the run's training job was cancelled, or the tenant is not active.
            Conflict: the run has lost its lock to one on another machine.
        """
        if self._lock is not None:
            self._lock.keep()
        self._looked_at = -_SECONDS_BETWEEN_LOOKS  # however little time the last stage took
        if self.should_stop():
            self.end_cancelled()
        note_stage(self.db, self._tenant, self._run_id, name, now=datetime.now(UTC))

    def require_active(self) -> None:
        """Make sure that the tenant may go on, before something of it goes live.

        Raises:
            DagsterExecutionInterruptedError: it was suspended.
        """
        if self._is_suspended():
            self._stop = True
            self.end_cancelled()

    def _note_cost(self) -> None:
        try:
            note_cost(self.db, self._tenant, self._run_id, now=datetime.now(UTC))
        except SQLAlchemyError as error:  # a figure that is missing fails no run
            _log.warning("cost_not_noted", run_id=self._run_id, kind=type(error).__name__)

    def should_stop(self) -> bool:
        """Whether the run's training job was cancelled, or the tenant suspended; looks once a second at most, so it may
        be asked often."""
        now = time.monotonic()
        if not self._stop and now - self._looked_at >= _SECONDS_BETWEEN_LOOKS:
            self._looked_at = now
            job = self._job
            cancelled = job is not None and self._is_ours(job) and is_cancelled(self.db, self._tenant, job.id)
            self._stop = cancelled or self._is_suspended()
        return self._stop

    def end_cancelled(self) -> NoReturn:
        """End this step and the run as a person does who terminates it in Dagster, so that it counts as cancelled.

        Raises:
            DagsterExecutionInterruptedError: always.
        """
        why = "The training job was cancelled."
        if self._is_suspended():
            why = STOPPED
            note_end(self.db, self._tenant, self._run_id, status="cancelled", message=why, now=datetime.now(UTC))
        run = self._instance.get_run_by_id(self._run_id) if self._instance is not None else None
        if self._instance is not None and run is not None:
            self._instance.report_run_canceling(run, why)
        raise DagsterExecutionInterruptedError(why)

    def _is_suspended(self) -> bool:
        return self.tenant().status != "active"

    def _is_ours(self, job: TrainingJob) -> bool:
        """A run that was executed again from Dagster's UI has the job's tag, and is not the run of the job."""
        return job.run_id in (None, self._run_id)

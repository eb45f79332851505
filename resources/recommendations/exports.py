"""Exports of the recommendations of all users: asked for by HTTP, written by whoever claims them, kept for some days.

The file is written on this machine, and put into the lake whole, under the tenant's lock, and only by the process that
still has the claim. Its name is that of the export, so what a killed process left is replaced by the next one's, or
goes with the export.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from upath import UPath

from resources.access.actor import SYSTEM, Actor
from resources.base.errors import (
    ConfigurationError,
    Conflict,
    CorruptRelease,
    NoRelease,
    NotReady,
    RecsaasError,
    ReleaseNotFound,
)
from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.jobs import store
from resources.jobs.kinds.erasures import users_being_erased
from resources.jobs.kinds.exports import (
    ExportFigures,
    ExportRequest,
    RecommendationExport,
    add_export,
    forget_export,
    get_export,
    list_exports,
)
from resources.jobs.model import Job, JobError, JobKind, JobStatus, Outcome, Progress
from resources.jobs.runner import JobControl, JobInterrupted, TryAgain, failed
from resources.ranker.live import live_ranker
from resources.recommendations.batch import RECOMMENDATION_SCHEMA, ListsOfAll, recommend_all
from resources.release.store import ReleaseStore
from resources.storage.disk import work_folder
from resources.storage.lake import Lake, put_file
from resources.storage.table_file import write_table
from resources.stores.locks import purpose_lock
from resources.stores.tenant_store import TenantStore

MAX_KEPT = 10
"""Finished exports of one tenant that are kept: their files take room."""
_LISTED = 10 * MAX_KEPT


@dataclass(frozen=True, slots=True)
class ExportWriter:
    """The handler of export jobs: writes their files."""

    lake: Lake
    db: ControlDb
    clock: Clock

    def work(self, job: Job, control: JobControl) -> Outcome:
        """Write the file of a claimed export, put it into the lake and end the job.

        Raises:
            JobInterrupted: the process stops, or the export is not its own any more: cancelled, or to be begun anew.
            TryAgain: the release cannot be read; perhaps an erasure was replacing it.
        """
        writing = _Writing(control)
        try:
            return self._written(RecommendationExport.of(job), writing)
        except NoRelease as error:
            return failed(error.code, error.message, **asdict(writing.figures))
        except (NotReady, ConfigurationError):  # the storage is away, or its credentials are: the export waits for it
            raise
        except (ReleaseNotFound, CorruptRelease) as error:
            raise TryAgain(JobError(error.code, error.message)) from error
        except RecsaasError as error:
            return failed(error.code, error.message, **asdict(writing.figures))

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Leave everything as it is: the file is kept for some days."""

    def _written(self, export: RecommendationExport, writing: _Writing) -> Outcome:
        tenant, request = export.tenant, export.request
        # Before the release is loaded: an erasure that is complete by now has replaced the release, one that is not is
        # known here, and one that comes later takes the claim away.
        erased = users_being_erased(self.db, tenant)
        ranker = live_ranker(self.lake, tenant)
        writing.note(release_version=ranker.release.version)
        with work_folder(_folder(self.lake), "export") as folder:
            file = folder / f"export.{request.format}"
            blocks = recommend_all(
                self.db,
                tenant,
                ranker,
                ListsOfAll(request.count, request.scenario, without=erased),
                now=self.clock(),
                on_progress=lambda done, total: writing.note(users_done=done, users_total=total),
            )
            rows = write_table(file, blocks, RECOMMENDATION_SCHEMA)
            writing.note(rows=rows, users_total=writing.figures.users_total or 0)
            return self._published(export, writing, file)

    def _published(self, export: RecommendationExport, writing: _Writing, file: Path) -> Outcome:
        figures = replace(writing.figures, bytes=file.stat().st_size)
        done = Outcome(status=JobStatus.DONE, result=asdict(figures))
        target = export_file(self.lake, export)
        with export_lock(self.db, self.lake, export.tenant):
            if not writing.control.keep():
                raise JobInterrupted
            put_file(file, target)
            if not writing.control.end(done):
                target.unlink(missing_ok=True)  # nobody else can have put one there: they would hold the lock
                raise JobInterrupted
        return done


class _Writing:
    """An export while it is written: its figures so far, and whether it is to go on."""

    def __init__(self, control: JobControl) -> None:
        self.control = control
        self.figures = ExportFigures()

    def note(self, **figures: object) -> None:
        """Note figures; raises JobInterrupted when the work is to end."""
        self.figures = replace(self.figures, **figures)  # type: ignore[arg-type]  # by name, as the dataclass has them
        self.control.note(Progress(share=self.figures.share, figures=asdict(self.figures)))


def submit_export(
    tenant: TenantStore,
    request: ExportRequest,
    *,
    now: datetime,
    key: WriteKey | None = None,
    by: Actor = SYSTEM,
) -> RecommendationExport:
    """Queue an export; with a key that came before, return the export that it made.

    Of the finished ones the newest `MAX_KEPT` stay, and the others go with their files.

    Raises:
        NoRelease: the tenant has nothing to recommend from yet.
        Conflict, ExportNotFound: see `add_export`.
    """
    ReleaseStore(tenant.folder).live_version()
    export = add_export(tenant.db, tenant.tenant, request, now=now, key=key, by=by)
    finished = [each for each in list_exports(tenant.db, tenant.tenant, limit=_LISTED) if each.finished]
    for old in finished[MAX_KEPT:]:
        _remove(tenant.lake, tenant.db, old)
    return export


def remove_export(
    tenant: TenantStore, export_id: str, *, now: datetime, by: Actor = SYSTEM
) -> RecommendationExport | None:
    """Cancel an export that is in progress and return it; remove a finished one with its file and return None.

    Raises:
        ExportNotFound: the tenant has no export with this id.
    """
    export = get_export(tenant.db, tenant.tenant, export_id)
    if not export.finished:
        try:
            cancelled = store.cancel_job(tenant.db, tenant.tenant, JobKind.EXPORT, export_id, now=now, by=by)
            return RecommendationExport.of(cancelled)
        except Conflict:  # it was finished in this moment
            export = get_export(tenant.db, tenant.tenant, export_id)
    export_file(tenant.lake, export).unlink(missing_ok=True)  # as in `_remove`
    forget_export(tenant.db, export, now=now, by=by)
    return None


def remove_old_exports(lake: Lake, db: ControlDb, *, before: datetime) -> int:
    """Remove exports of all tenants that were finished before a time, with their files; return how many."""
    old = store.list_ended(db, JobKind.EXPORT, before=before)
    for job in old:
        _remove(lake, db, RecommendationExport.of(job))
    return len(old)


def export_file(lake: Lake, export: RecommendationExport) -> UPath:
    """Place of the file."""
    return lake.tenant(export.tenant).export(export.id, export.request.format)


def export_lock(db: ControlDb, lake: Lake, tenant: TenantId) -> AbstractContextManager[None]:
    """Hold the lock under which files of exports come into the lake."""
    return purpose_lock(db, lake, tenant, "exports")


def _remove(lake: Lake, db: ControlDb, export: RecommendationExport) -> None:
    export_file(lake, export).unlink(missing_ok=True)  # first, or a crash would leave a file that nothing names
    store.forget_job(db, export.tenant, export.id)


def _folder(lake: Lake) -> Path:
    """Folder of this machine for files that are being written; what killed processes left there goes after a day."""
    return lake.scratch / "exports"

"""Archives of tenants as jobs: asked for by HTTP, written by whoever claims them, kept in the lake for some days."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from upath import UPath

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import Conflict, CorruptArtifact, NotReady, RecsaasError
from resources.base.tenant import TenantId
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.control_db.idempotency import WriteKey
from resources.control_db.tenants import row_of_tenant
from resources.jobs import store
from resources.jobs.kinds.tenant_exports import ARCHIVE_SUFFIX, TenantExport, add_tenant_export, list_tenant_exports
from resources.jobs.model import Job, JobError, JobKind, JobStatus, Outcome, Progress
from resources.jobs.runner import JobControl, JobInterrupted, TryAgain, failed
from resources.recommendations.exports import export_lock
from resources.storage.disk import work_folder
from resources.storage.lake import Lake, put_file
from resources.stores.locks import run_lock
from resources.stores.tenant_store import TenantStore
from resources.tenancy.archive import ArchiveManifest, total
from resources.tenancy.exporting import export_tenant

MAX_KEPT = 2
"""Finished archives of one tenant that are kept: each is as large as the tenant."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveWriter:
    """The handler of jobs that write archives. `home` is the folder of the run locks."""

    lake: Lake
    db: ControlDb
    clock: Clock
    home: Path

    def work(self, job: Job, control: JobControl) -> Outcome:
        """Write the archive of a claimed job, put it into the lake and end the job.

        Raises:
            NotReady: a run of the tenant or an erasure is going on: the archive waits for its end.
            JobInterrupted: the process stops, or a user's erasure was asked for: it is to be begun anew.
            TryAgain: a file is missing or damaged.
        """
        try:
            scratch = self.lake.tenant(job.tenant).scratch
            with run_lock(self.db, self.home, job.tenant, wait_seconds=0), work_folder(scratch, "archive") as folder:
                return self._written(job, control, folder / f"archive{ARCHIVE_SUFFIX}")
        except Conflict as error:
            raise NotReady(error.message) from error
        except CorruptArtifact as error:
            raise TryAgain(JobError(error.code, error.message)) from error
        except NotReady:
            raise
        except RecsaasError as error:
            return failed(error.code, error.message)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Leave everything as it is: the file is kept for some days."""

    def _written(self, job: Job, control: JobControl, file: Path) -> Outcome:
        share = 0.0

        def told(_what: str, done: float) -> None:
            nonlocal share
            share = max(share, done)
            control.note(Progress(share=share, figures={}))

        tenant = TenantStore(self.lake, self.db, job.tenant)
        manifest = export_tenant(tenant, file, now=self.clock(), told=told)
        done = Outcome(status=JobStatus.DONE, result=_figures(manifest, file))
        target = archive_file(self.lake, TenantExport.of(job))
        with export_lock(self.db, self.lake, job.tenant):
            if not control.keep():
                raise JobInterrupted
            put_file(file, target)
            if not control.end(done):
                target.unlink(missing_ok=True)  # nobody else can have put one there: they would hold the lock
                raise JobInterrupted
        return done


def submit_tenant_export(tenant: TenantStore, *, by: Actor, now: datetime, key: WriteKey | None = None) -> TenantExport:
    """Queue an archive of the whole tenant, with its entry in the audit log. Of finished ones the newest two stay.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict, ExportNotFound: see `add_tenant_export`.
    """
    with tenant.db.read() as session:
        row_of_tenant(session, tenant.tenant)
    export = add_tenant_export(tenant.db, tenant.tenant, by=by, now=now, key=key)
    finished = [each for each in list_tenant_exports(tenant.db, tenant.tenant, limit=50) if each.finished]
    for old in finished[MAX_KEPT:]:
        remove_archive(tenant.lake, tenant.db, old)
    return export


def remove_old_archives(lake: Lake, db: ControlDb, *, before: datetime) -> int:
    """Remove archives of all tenants that were finished before a time, with their files; return how many."""
    old = store.list_ended(db, JobKind.TENANT_EXPORT, before=before)
    for job in old:
        remove_archive(lake, db, TenantExport.of(job))
    return len(old)


def remove_archive(lake: Lake, db: ControlDb, export: TenantExport) -> None:
    """Remove a finished archive with its file."""
    archive_file(lake, export).unlink(missing_ok=True)  # first, or a crash would leave a file that nothing names
    store.forget_job(db, export.tenant, export.id)


def archive_file(lake: Lake, export: TenantExport) -> UPath:
    """ErasurePlace of the file."""
    return lake.tenant(export.tenant).export(export.id, ARCHIVE_SUFFIX.removeprefix("."))


def note_export(db: ControlDb, tenant: TenantId, name: str, *, by: Actor, now: datetime) -> None:
    """Note in the audit log of the tenant that somebody has taken all of it along, in a file of their own."""
    change = Change(action="tenant.export", object_kind="tenant_export", object_id=name)
    with db.write() as session:
        record(session, by, change, tenant=tenant, now=now)


def _figures(manifest: ArchiveManifest, file: Path) -> dict[str, object]:
    digest = hashlib.sha256()
    with open(file, "rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return {
        "bytes": file.stat().st_size,
        "sha256": digest.hexdigest(),
        "rows": total(manifest.rows),
        "uploads": manifest.uploads,
        "releases": manifest.releases,
    }

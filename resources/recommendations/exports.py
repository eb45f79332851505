"""Exports of the recommendations of all users: asked for by HTTP, written by whoever claims them, kept for some days.

The file is written on this machine, and put into the lake whole, under the tenant's lock, and only by the process that
still has the claim. Its name is that of the export, so what a killed process left is replaced by the next one's, or
goes with the export.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from upath import UPath

from resources.base.errors import CorruptRelease, NoRelease, RecsaasError, ReleaseNotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.erasures import users_being_erased
from resources.control_db.idempotency import WriteKey
from resources.control_db.recommendation_exports import (
    ExportRequest,
    ExportStatus,
    RecommendationExport,
    add_export,
    cancel_export,
    claim_export,
    finish_export,
    finished_before,
    forget_export,
    get_export,
    holds_export,
    list_exports,
    note_progress,
    put_export_back,
    renew_export,
)
from resources.jobs.claims import LEASE, MAX_ATTEMPTS, OUTAGES, RENEW_SECONDS, Clock, kept_claim, rest_after
from resources.ranker.live import live_ranker
from resources.recommendations.batch import RECOMMENDATION_SCHEMA, recommend_all
from resources.release.store import ReleaseStore
from resources.storage.disk import work_folder
from resources.storage.lake import Lake, put_file
from resources.storage.table_file import write_table
from resources.storage.tenant_lock import tenant_lock

MAX_KEPT = 10
"""Finished exports of one tenant that are kept: their files take room."""
_LISTED = 10 * MAX_KEPT
_LOOK_SECONDS = 0.5
"""How soon a process notices that its export was cancelled."""


class ExportInterrupted(Exception):
    """The process stops, or the export is not its own any more: cancelled, or to be begun anew."""


@dataclass(frozen=True, slots=True)
class ExportRunner:
    """One process that writes exports. `name` is its own among all processes; `stop` interrupts the work.

    Whoever claims an export renews the claim until `run` has ended, wherever that runs.
    """

    lake: Lake
    db: ControlDb
    clock: Clock
    name: str
    stop: threading.Event

    def claim(self) -> RecommendationExport | None:
        """Take the next export; None when nothing waits. One that ended too many processes ends here."""
        while True:
            now = self.clock()
            export = claim_export(self.db, worker=self.name, now=now, until=now + LEASE)
            if export is None or export.attempts <= MAX_ATTEMPTS:
                return export
            self._failed(export, "internal_error", "This export broke off again and again. Tell us its id.")

    def renew(self, export: RecommendationExport) -> bool:
        """Keep the claim; False when the export is not this process's to do any more."""
        now = self.clock()
        return renew_export(self.db, export, worker=self.name, now=now, until=now + LEASE)

    def run(self, export: RecommendationExport) -> RecommendationExport | None:
        """Write the file of a claimed export; return the finished export, or None when it is not finished by this.

        An outage of the storage or the control DB, and a stop of this process, put the export back into the queue.
        """
        try:
            with self._watched(export) as work:
                return self._written(export, work)
        except ExportInterrupted:
            self.put_back(export)
            return None
        except NoRelease as error:
            return self._failed(export, error.code, error.message)
        except OUTAGES:
            self.rest(export)
            raise
        except (ReleaseNotFound, CorruptRelease) as error:  # perhaps an erasure was replacing it
            if export.attempts < MAX_ATTEMPTS:
                self._try_again(export)
                return None
            return self._failed(export, error.code, error.message)
        except RecsaasError as error:
            return self._failed(export, error.code, error.message)

    def put_back(self, export: RecommendationExport) -> None:
        """Queue an export that was interrupted, as if nobody had begun it."""
        self._release(export, attempts=export.attempts - 1, rests=export.rests, wait=timedelta())

    def rest(self, export: RecommendationExport) -> None:
        """Queue an export again for later, after an outage, which is not its fault."""
        self._release(export, attempts=export.attempts - 1, rests=export.rests + 1, wait=rest_after(export.rests))

    def give_up(self, export: RecommendationExport) -> None:
        """Note an error nobody expected: try again later, or end the export as failed."""
        if export.attempts < MAX_ATTEMPTS:
            self._try_again(export)
        else:
            message = "Something went wrong on our side. Ask for a new export; if it stays, tell us the id."
            self._failed(export, "internal_error", message)

    def _written(self, export: RecommendationExport, work: _Work) -> RecommendationExport:
        tenant, request = export.tenant, export.request
        # Before the release is loaded: an erasure that is complete by now has replaced the release, one that is not is
        # known here, and one that comes later takes the claim away.
        erased = users_being_erased(self.db, tenant)
        ranker = live_ranker(self.lake, tenant)
        work.note(replace(work.export, release_version=ranker.release.version))
        with work_folder(_folder(self.lake), "export") as folder:
            file = folder / f"export.{request.format}"
            blocks = recommend_all(
                self.db,
                tenant,
                ranker,
                request.count,
                now=self.clock(),
                scenario=request.scenario,
                without=erased,
                on_progress=lambda done, total: work.note(replace(work.export, users_done=done, users_total=total)),
            )
            rows = write_table(file, blocks, RECOMMENDATION_SCHEMA)
            work.note(replace(work.export, rows=rows, users_total=work.export.users_total or 0))
            return self._published(work.export, file)

    def _published(self, export: RecommendationExport, file: Path) -> RecommendationExport:
        done = replace(export, status=ExportStatus.COMPLETED, bytes=file.stat().st_size)
        target = export_file(self.lake, export)
        with export_lock(self.lake, export.tenant):
            if not note_progress(self.db, export, worker=self.name, now=self.clock()):
                raise ExportInterrupted
            put_file(file, target)
            if not finish_export(self.db, done, worker=self.name, now=self.clock()):
                target.unlink(missing_ok=True)  # nobody else can have put one there: they would hold the lock
                raise ExportInterrupted
        return get_export(self.db, export.tenant, export.id)

    @contextmanager
    def _watched(self, export: RecommendationExport) -> Iterator[_Work]:
        noted_at = time.monotonic()

        def keep() -> bool:
            nonlocal noted_at
            if time.monotonic() - noted_at < RENEW_SECONDS:
                return holds_export(self.db, export, worker=self.name)  # reading costs others nothing
            noted_at = time.monotonic()
            return note_progress(self.db, work.export, worker=self.name, now=self.clock())

        with kept_claim(keep, every=_LOOK_SECONDS, name="export-progress") as lost:
            work = _Work(export, lambda: self.stop.is_set() or lost.is_set())
            yield work

    def _failed(self, export: RecommendationExport, code: str, message: str) -> RecommendationExport | None:
        failed = replace(export, status=ExportStatus.FAILED, error_code=code, message=message)
        return failed if finish_export(self.db, failed, worker=self.name, now=self.clock()) else None

    def _try_again(self, export: RecommendationExport) -> None:
        self._release(export, attempts=export.attempts, rests=export.rests + 1, wait=rest_after(export.rests))

    def _release(self, export: RecommendationExport, *, attempts: int, rests: int, wait: timedelta) -> None:
        now, counts = self.clock(), {"attempts": attempts, "rests": rests}
        put_export_back(self.db, export, worker=self.name, now=now, not_before=now + wait, **counts)


class _Work:
    """An export while it is written: how far it is, and whether it is to go on."""

    def __init__(self, export: RecommendationExport, is_over: Callable[[], bool]) -> None:
        self.export = export
        self._is_over = is_over

    def note(self, export: RecommendationExport) -> None:
        """Note progress.

        Raises:
            ExportInterrupted: the work is to end.
        """
        self.export = export
        if self._is_over():
            raise ExportInterrupted


def submit_export(
    lake: Lake, db: ControlDb, tenant: TenantId, request: ExportRequest, *, now: datetime, key: WriteKey | None = None
) -> RecommendationExport:
    """Queue an export; with a key that came before, return the export that it made.

    Of the finished ones the newest `MAX_KEPT` stay, and the others go with their files.

    Raises:
        NoRelease: the tenant has nothing to recommend from yet.
        Conflict, ExportNotFound: see `add_export`.
    """
    ReleaseStore(lake.tenant(tenant)).live_version()
    export = add_export(db, tenant, request, now=now, key=key)
    finished = [each for each in list_exports(db, tenant, limit=_LISTED) if each.finished]
    for old in finished[MAX_KEPT:]:
        _remove(lake, db, old)
    return export


def remove_export(
    lake: Lake, db: ControlDb, tenant: TenantId, export_id: str, *, now: datetime
) -> RecommendationExport | None:
    """Cancel an export that is in progress and return it; remove a finished one with its file and return None.

    Raises:
        ExportNotFound: the tenant has no export with this id.
    """
    export = get_export(db, tenant, export_id)
    if cancel_export(db, export, now=now):
        return get_export(db, tenant, export_id)
    _remove(lake, db, export)
    return None


def remove_old_exports(lake: Lake, db: ControlDb, *, before: datetime) -> int:
    """Remove exports of all tenants that were finished before a time, with their files; return how many."""
    old = finished_before(db, before)
    for export in old:
        _remove(lake, db, export)
    return len(old)


def export_file(lake: Lake, export: RecommendationExport) -> UPath:
    """Place of the file."""
    return lake.tenant(export.tenant).export(export.id, export.request.format)


def export_lock(lake: Lake, tenant: TenantId) -> AbstractContextManager[None]:
    """Hold the lock under which files of exports come into the lake, on one machine."""
    return tenant_lock(lake, tenant, "exports")


def _remove(lake: Lake, db: ControlDb, export: RecommendationExport) -> None:
    export_file(lake, export).unlink(missing_ok=True)  # first, or a crash would leave a file that nothing names
    forget_export(db, export)


def _folder(lake: Lake) -> Path:
    """Folder of this machine for files that are being written; what killed processes left there goes after a day."""
    return lake.scratch / "exports"

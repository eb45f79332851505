"""Writing an export in a child process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.recommendation_exports import ExportStatus, RecommendationExport, get_export
from resources.jobs.claims import read_outcome, write_outcome
from resources.processes.interpreter import run_in_child, stopped_with_parent
from resources.recommendations.exports import ExportRunner
from resources.storage.lake import Lake

_TOLD = ("status", "release_version", "users_done", "users_total", "rows", "bytes", "error_code", "message")


def export_in_child(export: RecommendationExport, *, worker: str, stop: threading.Event) -> RecommendationExport | None:
    """Do what `ExportRunner.run` does for an export that `worker` has claimed, in a child.

    Returns:
        None when it is not finished by this.

    Raises:
        ChildBroke: there is no outcome.
        NotReady: there was an outage.
    """
    outcome = read_outcome(run_in_child(__name__, [export.tenant.value, export.id, worker], stop=stop))
    if outcome is None:
        return None
    return replace(export, **{**outcome, "status": ExportStatus(outcome["status"])})


def main(tenant: str, export_id: str, worker: str) -> None:
    """Write a claimed export, and then to standard output what came of it, as JSON."""
    stop = stopped_with_parent()
    write_outcome(lambda: _written(TenantId(tenant), export_id, worker, stop))


def _written(tenant: TenantId, export_id: str, worker: str, stop: threading.Event) -> Mapping[str, Any] | None:
    settings = load_settings()
    lake = Lake.open(settings.lake_url, scratch=settings.scratch, s3_endpoint=settings.s3_endpoint)
    db = open_control_db(settings.database_url)
    try:
        runner = ExportRunner(lake, db, lambda: datetime.now(UTC), worker, stop)
        done = runner.run(get_export(db, tenant, export_id))
    finally:
        db.close()
    return None if done is None else {name: getattr(done, name) for name in _TOLD}

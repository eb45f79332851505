"""Erasing a user: search everywhere, write down what is found, remove it, and search again until nothing is left.

In the end the bytes of deleted rows leave the files of the databases.

Every step can be repeated: what was found is in the control DB before it is removed, each file is replaced whole, and a
release is replaced by its copy before it goes. After a crash the request is still pending, and is done again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from resources.base.errors import Conflict
from resources.control_db.engine import ControlDb
from resources.decisions.store import DecisionStore
from resources.erasure.certificate import Certificate, certificate_of
from resources.erasure.places.databases import remove_deleted_bytes
from resources.erasure.places.decisions import keep_out, traces_in_decisions
from resources.erasure.places.events import EVENTS, traces_in_events
from resources.erasure.places.exports import traces_in_exports
from resources.erasure.places.landed import traces_in_refused_files, waiting_mentions
from resources.erasure.places.releases import traces_in_releases
from resources.erasure.places.tables import traces_in_tables, traces_in_training, traces_of_dead_processes
from resources.erasure.places.trace import Subject, Trace, UserData, merged
from resources.erasure.places.uploads import REWRITTEN, traces_in_job_reports, traces_in_uploads
from resources.jobs.kinds.erasures import (
    Erasure,
    complete_erasure,
    forget_user,
    get_erasure,
    newest_upload,
    note_found,
)
from resources.jobs.kinds.uploads import may_be_checked
from resources.recommendations.exports import export_lock
from resources.storage.lake import Lake
from resources.stores.locks import run_lock, upload_lock

_ROUNDS = 5


def perform_erasure(
    lake: Lake,
    db: ControlDb,
    decisions: DecisionStore,
    erasure: Erasure,
    now: datetime,
    *,
    home: Path,
    wait_seconds: float = 0.0,
) -> Certificate:
    """Erase the user, and return the certificate; that of a completed erasure is returned as it is.

    Everything that was acknowledged before the erasure is complete is erased, also what came after the request.

    Args:
        now: the time of the call; the certificate names the time at which nothing was left.
        home: folder of the run locks.
        wait_seconds: how long to wait for a run of the tenant to end.

    Raises:
        Conflict: a run is going on, a received file is still to be checked, or data of the user keeps coming in. The
            erasure stays pending.
        CorruptArtifact: a file that may hold the user cannot be read; the erasure stays pending.
    """
    started = time.monotonic()
    with run_lock(db, home, erasure.tenant, wait_seconds=wait_seconds):
        erasure = get_erasure(db, erasure.tenant, erasure.id)
        if erasure.user_id is None:
            certificate = Certificate.model_validate(erasure.certificate)
            return certificate if erasure.status == "completed" else _completed(db, decisions, erasure, certificate)
        if may_be_checked(db, erasure.tenant, now=now):
            raise Conflict(
                f"Received files of tenant {erasure.tenant} are still to be checked, and may name the user. "
                f"{erasure.id} goes on when they are done."
            )
        subject = Subject(lake, db, decisions, erasure.tenant, erasure.user_id, erasure.id)
        found, retrain = _found_earlier(erasure)
        for _ in range(_ROUNDS):
            uploads_until = newest_upload(db, erasure.tenant)
            # An upload would note rows that go away, an export be put beside those that were looked at.
            with upload_lock(db, lake, erasure.tenant), export_lock(db, lake, erasure.tenant):
                traces = tuple(_search(subject))
                found = merged(found, (trace.finding for trace in traces))
                retrain = retrain or any(trace.retrain for trace in traces)
                note_found(db, erasure, {"retrain": retrain, "findings": [each.model_dump() for each in found]})
                for trace in traces:
                    trace.remove()
            if traces:
                continue
            done = now + timedelta(seconds=time.monotonic() - started)
            keep_out(subject, done)
            certificate = certificate_of(erasure, found, now=done, retrain=retrain, mentions=waiting_mentions(subject))
            noted = certificate.model_dump(mode="json")
            if forget_user(db, erasure, noted, uploads_until=uploads_until, retrain=retrain):
                return _completed(db, decisions, erasure, certificate)
        raise Conflict(
            f"Data of the user keeps coming in for tenant {erasure.tenant}. {erasure.id} goes on by itself; stop "
            "sending events and files that name the user."
        )


def _completed(db: ControlDb, decisions: DecisionStore, erasure: Erasure, certificate: Certificate) -> Certificate:
    """The last step: rows are deleted by now, and their bytes leave the files of the databases."""
    left = (
        *remove_deleted_bytes(db.engine, "control DB", erasure.user_id),
        *remove_deleted_bytes(decisions.engine, "decision log", erasure.user_id),
    )
    whole = certificate.model_copy(update={"out_of_reach": (*left, *certificate.out_of_reach)})
    complete_erasure(db, erasure, whole.model_dump(mode="json"), now=whole.completed_at)
    return whole


def _search(subject: Subject) -> Iterator[Trace]:
    yield from traces_in_uploads(subject)
    yield from traces_in_job_reports(subject)
    yield from traces_in_events(subject)
    yield from traces_in_decisions(subject)
    yield from traces_in_tables(subject)
    yield from traces_in_exports(subject)
    yield from traces_in_training(subject)
    yield from traces_in_refused_files(subject)
    yield from traces_in_releases(subject)
    yield from traces_of_dead_processes(subject)


def _found_earlier(erasure: Erasure) -> tuple[tuple[UserData, ...], bool]:
    """Findings of the request itself and of attempts before a crash, and whether they call for a training."""
    noted = dict(erasure.certificate or {})
    events = (UserData(place=EVENTS, rows=noted["events"], done=REWRITTEN),) if noted.get("events") else ()
    earlier = noted.get("found", {})
    return (
        merged(events, (UserData.model_validate(each) for each in earlier.get("findings", ()))),
        bool(earlier.get("retrain")),
    )

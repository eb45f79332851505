"""A process that is killed in the middle of storing an upload, again and again, one step later each time.

Prints, as a JSON list, what the control DB and the lake hold after each kill and after the retry that follows it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 (pandera imports it at the first check, which would be in every child anew)
import polars as pl

from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.control_db.uploads import list_uploads
from resources.storage import lake, listing
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads import store
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy

SHOP = TenantId("blue")
NOW = datetime(2025, 6, 1, tzinfo=UTC)
HEADER = "user_id,item_id,interaction_type,timestamp\n"
ROW = "{},i,view,2024-05-01T10:00:00Z\n"
BEFORE = HEADER + ROW.format("u0")
FILE = HEADER + "".join(ROW.format(f"u{n}") for n in (0, 1, 2, 2)) + ROW.format("")
STEPS = (
    (shutil, "rmtree"),
    (store, "remove_folder"),
    (store, "put_file"),
    (store, "write_bytes"),
    (store, "write_json"),
    (store, "record_upload"),
    (store, "inspect_file"),
    (store, "compare_with_stored"),
)


def put(home: Path, content: str) -> dict[str, Any]:
    """Store a file and say what is stored afterwards."""
    db = open_control_db(f"sqlite:///{home}/control.db", migrate=False)
    where = lake.Lake.open(str(home / "lake"), scratch=home / "scratch")
    upload = IncomingUpload(Kind.INTERACTIONS, content.encode(), filename="f.csv", origin="cli", received_at=NOW)
    report = store.store_upload(TenantStore(where, db, SHOP), upload, UploadPolicy(TenantSettings(), 10**6))
    uploads = list_uploads(db, SHOP)
    rows = pl.concat(store.scan_accepted(where, SHOP, upload.upload_id) for upload in uploads).collect()
    db.close()
    return {
        "already_stored": report.already_stored,
        "figures": [report.rows_accepted, report.rows_rejected, report.rows_duplicate],
        "uploads": len(uploads),
        "users": sorted(rows["user_id"].to_list()),
        "files": len(list(listing.list_files(where.tenant(SHOP).root))),
    }


def kill_at(step: int) -> None:
    """Let this process kill itself before the call with this number; a high number kills nothing."""
    calls = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for module, name in STEPS:
        setattr(module, name, counted(getattr(module, name)))


def forked(work: Callable[[], Any]) -> Any:
    """Run `work` in a child and return what it returns; None when it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return json.loads(told) if told else None


def prepare(home: Path) -> None:
    """Make a shop that has one upload."""
    db = open_control_db(f"sqlite:///{home}/control.db")
    create_tenant(db, SHOP, name="Blue", now=NOW)
    db.close()
    put(home, BEFORE)


def dying(home: Path, step: int) -> Any:
    """Kill one attempt at the step, then try again and look; None when nothing was left to kill."""

    def die() -> dict[str, Any]:
        kill_at(step)
        return put(home, FILE)

    return forked(lambda: put(home, FILE)) if forked(die) is None else None


if __name__ == "__main__":
    folder, outcomes = Path(sys.argv[1]), list[Any]()
    (folder / "new").mkdir()
    forked(lambda: prepare(folder / "new"))
    while True:
        home = folder / str(len(outcomes))
        shutil.copytree(folder / "new", home)
        if (outcome := dying(home, len(outcomes))) is None:
            break
        outcomes.append(outcome)
    print(json.dumps(outcomes))  # noqa: T201 (the test reads it)

"""Storing an upload in a child process: what a stranger's bytes do to their reader happens to nobody else."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy.exc import OperationalError

from resources.access.actor import Actor
from resources.base import errors
from resources.base.errors import FieldProblem, RecsaasError, UploadRefused
from resources.base.tenant import TenantId
from resources.control_db.engine import PATIENT_SECONDS, SERVICE_SECONDS, open_control_db
from resources.processes.forked import ChildDied, ChildLimits, ForkServer
from resources.processes.interpreter import NICENESS
from resources.storage.disk import says_full
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.limits import TakesLong, UploadLimits
from resources.uploads.contract.report import UploadReport
from resources.uploads.parsing.uploaded_file import Format, display_name, format_of, is_small_text, size_of
from resources.uploads.store import store_upload, upload_folder

_NICENESS_AT_ONCE = 5
"""Answers go first, but somebody waits for this one too."""
_IMPORTED_LATE = (
    "numpy.ma",
    "pandera.backends.polars.builtin_checks",
    "pandera.backends.polars.checks",
    "pandera.backends.polars.components",
    "pandera.backends.polars.container",
    "pandera.backends.register_checks",
    "polars._utils.parquet",
)
"""What the libraries would import anew in every child, when they are first used: half a second."""
_IF_IMPORTED = ("resources.storage.object_store",)
_ADVICE = "split it into smaller files, write Parquet with smaller row groups, or send plain CSV."


def store_in_child(
    store: TenantStore,
    upload: IncomingUpload,
    policy: UploadPolicy,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> UploadReport:
    """Do what `store_upload` does, with a child that reads the file within the policy's limits.

    Whatever the file does to the child, it is tried once. `on_progress` is also called while nothing new is read.

    Raises:
        UploadRefused: as in `store_upload`; also `too_expensive` when a limit was hit, and `not_parquet` or `not_csv`
            when the file made its reader crash.
        ChildBroke: the child was ended by somebody's hand, or by an error of ours.
        TooLarge, TakesLong, TenantNotFound: as in `store_upload`.
    """
    format = format_of(upload.content, upload.filename)
    if is_small_text(upload.content):  # plain Python's, or next to no rows: that needs no child
        try:
            return store_upload(store, upload, policy, on_progress=on_progress)
        except pl.exceptions.PanicException as error:
            raise _crashed(upload.filename, format) from error
    allowed = child_limits(policy.limits, size_of(upload.content))

    def told(done: int | None) -> None:
        if on_progress is not None:
            on_progress(done or 0)

    with upload_folder(store.lake) as folder:
        request = _request(store, upload, policy, folder)
        try:
            answer = children().run(__name__, request, limits=allowed, on_progress=told)
            if "died" in answer:
                raise ChildDied("it has noticed that itself", limit=answer["died"])
        except ChildDied as death:
            raise _refusal(death, upload.filename, format, allowed) from death
    if "report" not in answer:
        raise _error(answer)
    return UploadReport.model_validate(answer["report"])


@cache
def children() -> ForkServer:
    """The fork server of uploads; `start` it ahead of time where the first one is not to wait."""
    return ForkServer(__name__, *_IMPORTED_LATE, *(name for name in _IF_IMPORTED if name in sys.modules))


def main(request: dict[str, Any], tell: Callable[[Any], None]) -> dict[str, Any]:
    """The work of the child: store, and say what came of it."""
    work = Path(request["work"]) / "found"
    work.mkdir()
    db = open_control_db(request["database"], migrate=False, busy_seconds=request["busy_seconds"])
    try:
        store = TenantStore(Lake.at(request["lake"]), db, TenantId(request["tenant"]))
        report = store_upload(store, *_requested(request), on_progress=tell, work=work)
    except TakesLong:
        return {"takes_long": True}
    except RecsaasError as error:
        return {
            "error": type(error).__name__,
            "reason": getattr(error, "reason", None),
            "message": error.message,
            "details": [asdict(each) for each in error.details],
        }
    except OSError as error:
        return {"os_error": [error.errno, error.strerror or str(error)]}
    except OperationalError as error:
        return {"database_error": str(error.orig)}
    except MemoryError:
        return {"died": "memory"}
    except pl.exceptions.PanicException:
        return {"died": None}
    except pl.exceptions.PolarsError as error:
        if says_full(error):
            return {"os_error": [errno.ENOSPC, os.strerror(errno.ENOSPC)]}
        if request["format"] != Format.PARQUET:  # of its values nothing is sure, whatever their types say
            raise
        return {"died": None}
    finally:
        db.close()
    return {"report": report.model_dump(mode="json")}


def _request(store: TenantStore, upload: IncomingUpload, policy: UploadPolicy, folder: Path) -> dict[str, Any]:
    """What the child is told, as JSON; `_requested` reads it."""
    return {
        "lake": store.lake.address,
        "database": store.db.engine.url.render_as_string(hide_password=False),
        "busy_seconds": PATIENT_SECONDS if policy.limits.at_once_bytes is None else SERVICE_SECONDS,
        "tenant": store.tenant.value,
        "kind": upload.kind.value,
        "file": str(_file_of(upload.content, folder)),
        "format": format_of(upload.content, upload.filename).value,
        "filename": upload.filename,
        "origin": upload.origin,
        "received_at": upload.received_at.isoformat(),
        "sha256": upload.sha256,
        "validate_only": upload.validate_only,
        "by": asdict(upload.by),
        "settings": policy.settings.model_dump(mode="json"),
        "max_bytes": policy.max_bytes,
        "limits": asdict(policy.limits),
        "work": str(folder),
    }


def _requested(request: dict[str, Any]) -> tuple[IncomingUpload, UploadPolicy]:
    upload = IncomingUpload(
        kind=Kind(request["kind"]),
        content=Path(request["file"]),
        filename=request["filename"],
        origin=request["origin"],
        received_at=datetime.fromisoformat(request["received_at"]),
        sha256=request["sha256"],
        validate_only=request["validate_only"],
        by=Actor(**request["by"]),
    )
    policy = UploadPolicy(
        settings=TenantSettings.model_validate(request["settings"]),
        max_bytes=request["max_bytes"],
        limits=UploadLimits(**request["limits"]),
    )
    return upload, policy


def _file_of(content: Path | bytes, folder: Path) -> Path:
    if isinstance(content, bytes):
        (folder / "content").write_bytes(content)
        return folder / "content"
    return content.absolute()


def child_limits(limits: UploadLimits, size: int) -> ChildLimits:
    """Return what a child may take that reads a file of `size` bytes."""
    return ChildLimits(
        limits.memory_bytes,
        limits.cpu_seconds_for(size),
        limits.wall_seconds_for(size),
        niceness=NICENESS if limits.at_once_bytes is None else _NICENESS_AT_ONCE,
    )


def _error(answer: dict[str, Any]) -> Exception:
    """Return the error that the child has met, as this process would have."""
    if "takes_long" in answer:
        return TakesLong()
    if "os_error" in answer:
        return OSError(*answer["os_error"])
    if "database_error" in answer:
        return OperationalError("storing an upload", None, Exception(answer["database_error"]))
    kind: type[RecsaasError] = getattr(errors, answer["error"])
    details = tuple(FieldProblem(**each) for each in answer["details"])
    if issubclass(kind, UploadRefused):
        return kind(answer["reason"], answer["message"], details=details)
    return kind(answer["message"], details=details)


def _refusal(death: ChildDied, filename: str, format: Format, limits: ChildLimits) -> UploadRefused:
    """Say why the child is dead, and what to do with the file."""
    limit = {
        "memory": f"{limits.memory_bytes:,} bytes of memory",
        "cpu": f"{limits.cpu_seconds:,} seconds of processor time",
        "wall": f"{limits.wall_seconds:,} seconds",
        None: None,
    }[death.limit]
    if limit is None:
        return _crashed(filename, format)
    return UploadRefused("too_expensive", f"{display_name(filename)} takes more than {limit} to read; {_ADVICE}")


def _crashed(filename: str, format: Format) -> UploadRefused:
    name = display_name(filename)
    if format is Format.PARQUET:
        return UploadRefused("not_parquet", f"{name} is damaged Parquet; export it again, or send CSV.")
    return UploadRefused("not_csv", f"{name} cannot be read; export it again as plain CSV in UTF-8.")

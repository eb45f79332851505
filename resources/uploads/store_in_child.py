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

from resources.base import errors
from resources.base.errors import FieldProblem, RecsaasError, UploadRefused
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import PATIENT_SECONDS, SERVICE_SECONDS, ControlDb, open_control_db
from resources.processes.forked import ChildDied, ForkServer, Limits
from resources.processes.interpreter import NICENESS
from resources.storage.disk import says_full
from resources.storage.lake import Lake
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.limits import TakesLong, UploadLimits
from resources.uploads.contract.report import UploadReport
from resources.uploads.parsing.source import Format, display_name, format_of, is_small_text, size_of
from resources.uploads.store import UploadOrigin, store_upload, upload_folder

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
    lake: Lake,
    db: ControlDb,
    tenant: TenantId,
    kind: Kind,
    content: Path | bytes,
    *,
    filename: str,
    source: UploadOrigin,
    settings: TenantSettings,
    now: datetime,
    max_bytes: int,
    validate_only: bool = False,
    limits: UploadLimits | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> UploadReport:
    """Do what `store_upload` does, with a child that reads the file within `limits`; by default the installation's.

    Whatever the file does to the child, it is tried once. `on_progress` is also called while nothing new is read.

    Raises:
        UploadRefused: as in `store_upload`; also `too_expensive` when a limit was hit, and `not_parquet` or `not_csv`
            when the file made its reader crash.
        ChildBroke: the child was ended by somebody's hand, or by an error of ours.
        TooLarge, TakesLong, TenantNotFound: as in `store_upload`.
    """
    limits = limits or UploadLimits.of(load_settings())
    format = format_of(content, filename)
    size = size_of(content)
    if is_small_text(content):  # plain Python's, or next to no rows: that needs no child
        try:
            return store_upload(
                lake,
                db,
                tenant,
                kind,
                content,
                filename=filename,
                source=source,
                settings=settings,
                now=now,
                max_bytes=max_bytes,
                validate_only=validate_only,
                limits=limits,
                on_progress=on_progress,
            )
        except pl.exceptions.PanicException as error:
            raise _crashed(filename, format) from error
    allowed = child_limits(limits, size)

    def told(done: int | None) -> None:
        if on_progress is not None:
            on_progress(done or 0)

    with upload_folder(lake) as folder:
        request = {
            "lake": lake.address,
            "database": db.engine.url.render_as_string(hide_password=False),
            "busy_seconds": PATIENT_SECONDS if limits.at_once_bytes is None else SERVICE_SECONDS,
            "tenant": tenant.value,
            "kind": kind.value,
            "file": str(_file_of(content, folder)),
            "filename": filename,
            "source": source,
            "settings": settings.model_dump(mode="json"),
            "now": now.isoformat(),
            "limits": asdict(limits),
            "work": str(folder),
            "max_bytes": max_bytes,
            "validate_only": validate_only,
            "format": format.value,
        }
        try:
            answer = children().run(__name__, request, limits=allowed, on_progress=told)
            if "died" in answer:
                raise ChildDied("it has noticed that itself", limit=answer["died"])
        except ChildDied as death:
            raise _refusal(death, filename, format, allowed) from death
    if "report" not in answer:
        raise _error(answer)
    return UploadReport.model_validate(answer["report"])


@cache
def children() -> ForkServer:
    """Where children for uploads come from; `start` it ahead of time where the first one is not to wait."""
    return ForkServer(__name__, *_IMPORTED_LATE, *(name for name in _IF_IMPORTED if name in sys.modules))


def main(request: dict[str, Any], tell: Callable[[Any], None]) -> dict[str, Any]:
    """The work of the child: store, and say what came of it."""
    lake = Lake.at(request["lake"])
    work = Path(request["work"]) / "found"
    work.mkdir()
    db = open_control_db(request["database"], migrate=False, busy_seconds=request["busy_seconds"])
    try:
        report = store_upload(
            lake,
            db,
            TenantId(request["tenant"]),
            Kind(request["kind"]),
            Path(request["file"]),
            filename=request["filename"],
            source=request["source"],
            settings=TenantSettings.model_validate(request["settings"]),
            now=datetime.fromisoformat(request["now"]),
            max_bytes=request["max_bytes"],
            validate_only=request["validate_only"],
            limits=UploadLimits(**request["limits"]),
            on_progress=tell,
            work=work,
        )
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


def _file_of(content: Path | bytes, folder: Path) -> Path:
    if isinstance(content, Path):
        return content.absolute()
    (folder / "content").write_bytes(content)
    return folder / "content"


def child_limits(limits: UploadLimits, size: int) -> Limits:
    """Return what a child may take that reads a file of `size` bytes."""
    return Limits(
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


def _refusal(death: ChildDied, filename: str, format: Format, limits: Limits) -> UploadRefused:
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

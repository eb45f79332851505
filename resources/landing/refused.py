"""Dropped files that were refused: kept with the reason in the tenant's part of the lake, where no shop writes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from upath import UPath

from resources.base.errors import CorruptArtifact, RecsaasError, UploadRefused
from resources.base.tenant import TenantId
from resources.landing.folders import take_out, write_notice
from resources.landing.names import shown
from resources.storage.file_store import StoredFile
from resources.storage.lake import Lake, TenantLake, move_file, read_json, write_json
from resources.storage.listing import list_files

_ENDING = ".json"


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """One refused file: `file` is where it was dropped, such as `items/monday.csv`; `code` and `message` say why."""

    id: str
    file: str
    code: str
    message: str
    size: int
    refused_at: datetime


def set_aside(
    lake: Lake,
    tenant: TenantId,
    file: str,
    refusal: RecsaasError,
    *,
    size: int,
    now: datetime,
    moved_to: UPath | None = None,
) -> bool:
    """Move a refused file to the tenant's others and write down why, there and beside where it was dropped.

    Args:
        file: where it was dropped, from the tenant's landing folder on.
        moved_to: where it lies when it was moved already.

    Returns:
        False when it is not there any more.

    Raises:
        UploadRefused, PermissionError: it cannot be moved, see `take_out`; nothing is written down.
    """
    folder = lake.tenant(tenant).refused
    refused_id = f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    reason = {
        "code": code_of(refusal),
        "message": refusal.message,
        "file": shown(file),
        "size": size,
        "refused_at": now.astimezone(UTC).isoformat(),
    }
    record = folder / f"{refused_id}{_ENDING}"
    write_json(record, reason)  # before the file moves: none lies there without its reason
    # Moved, not copied: the file may be refused because it is larger than memory or disk.
    target = folder / refused_id / file.rpartition("/")[2]
    path = f"{tenant}/{file}"
    moved = moved_to is not None
    try:
        if moved_to is not None:
            move_file(moved_to, target)
        else:
            moved = take_out(lake, path, target)
    finally:
        if not moved:
            record.unlink(missing_ok=True)
    if moved:
        write_notice(lake, path, reason)
    return moved


def code_of(refusal: RecsaasError) -> str:
    """The stable code of a refusal."""
    return refusal.reason if isinstance(refusal, UploadRefused) else refusal.code


def list_refused(lake: Lake, tenant: TenantId) -> tuple[RefusedFile, ...]:
    """The tenant's refused files, newest first."""
    folder = lake.tenant(tenant).refused
    records = sorted((file.name for file in list_files(folder) if _is_record(file)), reverse=True)
    return tuple(_read(folder / name) for name in records)


def refused_content(folder: TenantLake) -> dict[str, tuple[str, ...]]:
    """The names of the files that were refused, by the id of their refusal."""
    files = [file.name.partition("/") for file in list_files(folder.refused)]
    found: dict[str, list[str]] = {name.removesuffix(_ENDING): [] for name, slash, _ in files if not slash}
    for refused_id, slash, name in files:
        if slash:
            found.setdefault(refused_id, []).append(name)
    return {refused_id: tuple(names) for refused_id, names in sorted(found.items())}


def forget_refused(folder: TenantLake, refused_id: str) -> None:
    """Remove a refused file, and what is known of it last."""
    for file in list_files(folder.refused / refused_id):
        (folder.refused / refused_id / file.name).unlink(missing_ok=True)
    (folder.refused / f"{refused_id}{_ENDING}").unlink(missing_ok=True)


def _is_record(file: StoredFile) -> bool:
    return "/" not in file.name and file.name.endswith(_ENDING)


def _read(record: UPath) -> RefusedFile:
    found = read_json(record)
    try:
        return RefusedFile(
            id=record.name.removesuffix(_ENDING),
            file=str(found["file"]),
            code=str(found["code"]),
            message=str(found["message"]),
            size=int(found["size"]),
            refused_at=datetime.fromisoformat(found["refused_at"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptArtifact(f"{record.name} is not a note of a refused file; remove it.") from error

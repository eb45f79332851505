"""Files that a shop drops into its landing folder, instead of sending them to the service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from upath import UPath

from resources.control_db.engine import ControlDb
from resources.control_db.tenants import Tenant
from resources.disk import work_folder
from resources.errors import TooLarge, UploadRefused
from resources.lake import Lake, fetch_file, move_file, write_json
from resources.listing import StoredFile, list_files, stored_file
from resources.uploads.contract import Kind
from resources.uploads.report import UploadReport
from resources.uploads.store_in_child import store_in_child

_REFUSED = ".refused"
_TAKING = ".taking"
_KINDS = frozenset(kind.value for kind in Kind)


@dataclass(frozen=True, slots=True)
class LandedFile:
    """What became of one dropped file: a report, or the reason why it was refused."""

    name: str
    report: UploadReport | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A dropped file that no run has taken. `mark` is another one after every write (see `StoredFile`).

    `path` is its place in the folder: its name, or `.taking/<name>` when a run died while it took the file.
    """

    kind: Kind
    path: str
    size: int
    changed_at: datetime
    mark: str

    @property
    def name(self) -> str:
        """The name that the shop gave it."""
        return self.path.removeprefix(f"{_TAKING}/")

    @property
    def is_left_behind(self) -> bool:
        """Whether a run that died has moved it already."""
        return self.path != self.name


def waiting_by_tenant(landing: Iterable[StoredFile]) -> dict[str, tuple[WaitingFile, ...]]:
    """Sort one listing of everybody's landing folders by tenant; each tenant's files oldest first.

    Names that start with a dot are still being written, or were refused; folders in folders belong to nobody.
    """
    found: dict[str, list[WaitingFile]] = defaultdict(list)
    for each in landing:
        tenant, kind, path = each.name.split("/", 2) if each.name.count("/") >= 2 else ("", "", "")
        if kind in _KINDS:
            file = WaitingFile(Kind(kind), path, each.size, each.changed_at, each.mark)
            if file.name and "/" not in file.name and not file.name.startswith("."):
                found[tenant].append(file)
    return {tenant: tuple(sorted(files, key=_turn)) for tenant, files in found.items()}


def waiting_files(lake: Lake, tenant: Tenant, kind: Kind) -> tuple[WaitingFile, ...]:
    """The files of one tenant and kind, oldest first."""
    prefix = f"{tenant.id}/{kind.value}/"
    listing = list_files(lake.landing(tenant.id, kind.value))
    named = (StoredFile(f"{prefix}{f.name}", f.size, f.changed_at, f.mark) for f in listing)
    return waiting_by_tenant(named).get(str(tenant.id), ())


def settled(changed_at: datetime, *, now: datetime, settle_seconds: float) -> bool:
    """Whether a file has been quiet for long enough to be whole. A time in the future says nothing, and counts."""
    return abs((now - changed_at).total_seconds()) >= settle_seconds


def take_landed_files(
    lake: Lake,
    db: ControlDb,
    tenant: Tenant,
    kind: Kind,
    *,
    now: datetime,
    max_bytes: int,
    settle_seconds: float = 0.0,
) -> tuple[LandedFile, ...]:
    """Store every file of the tenant's landing folder as an upload, oldest first.

    A stored file leaves the folder, because the upload keeps the original. A refused one moves to `.refused/`
    with a JSON file beside it that says why. What is written anew while it is being taken stays for the next time.
    The caller holds the tenant's run lock.
    """
    outcomes = []
    for file in waiting_files(lake, tenant, kind):
        if settled(file.changed_at, now=now, settle_seconds=settle_seconds):
            outcome = _take(lake, db, tenant, file, now=now, max_bytes=max_bytes)
            outcomes += [outcome] if outcome is not None else []
    return tuple(outcomes)


def _take(
    lake: Lake, db: ControlDb, tenant: Tenant, file: WaitingFile, *, now: datetime, max_bytes: int
) -> LandedFile | None:
    """Store a copy, which nobody writes to any more, and say what became of it; None when the file has changed."""
    folder = lake.landing(tenant.id, file.kind.value)
    reserved = _reserve(folder, file)
    if reserved is None:
        return None
    path, mark = reserved
    with work_folder(lake.scratch, "landed") as work:
        copy = work / "file"
        try:
            if file.size > max_bytes:
                raise TooLarge(
                    f"{file.name} has {file.size} bytes, and at most {max_bytes} are accepted. Split it, or ask the "
                    "operator to raise RECSAAS_MAX_UPLOAD_BYTES."
                )
            fetch_file(path, copy)
            if not _unchanged(path, mark):
                return None
            report = store_in_child(
                lake,
                db,
                tenant.id,
                file.kind,
                copy,
                filename=file.name,
                source="landing",
                settings=tenant.settings,
                now=now,
                max_bytes=max_bytes,
            )
        except FileNotFoundError:
            if _unchanged(path, mark):
                raise
            return None
        except (UploadRefused, TooLarge) as refusal:
            if _unchanged(path, mark):
                _set_aside(folder, path, file.name, refusal)
            return LandedFile(file.name, None, refusal.message)
    if _unchanged(path, mark):
        path.unlink(missing_ok=True)
    return LandedFile(file.name, report, None)


def _reserve(folder: UPath, file: WaitingFile) -> tuple[UPath, str] | None:
    """Return where the file lies and its mark there, or None when it is gone or was replaced since it was listed.

    On a disk it is moved to where its owner does not write: what they write under its name now is another file, which
    its removal cannot hit. An object store has no rename; there it stays.
    """
    path = folder / file.path
    if file.is_left_behind or not isinstance(path, Path):
        return path, file.mark
    taking = folder / _TAKING / file.name
    if taking.exists():  # its turn comes when the one before it has been taken
        return None
    try:
        move_file(path, taking)
    except FileNotFoundError:
        return None
    found = stored_file(taking)
    if found is None or (found.size, found.changed_at) != (file.size, file.changed_at):
        return None  # listed by its new place next time, it has to settle first
    return taking, found.mark


def _unchanged(path: UPath, mark: str) -> bool:
    found = stored_file(path)
    return found is not None and found.mark == mark


def _set_aside(folder: UPath, path: UPath, name: str, refusal: UploadRefused | TooLarge) -> None:
    """Move a refused file to `.refused/`, under a new name when a file of its name was refused before."""
    refused = folder / _REFUSED
    taken = {file.name for file in list_files(refused)}
    number, free = 1, name
    while {free, f"{free}.why.json"} & taken:
        number += 1
        free = f"{number}-{name}"
    code = refusal.reason if isinstance(refusal, UploadRefused) else refusal.code
    write_json(refused / f"{free}.why.json", {"code": code, "message": refusal.message})
    # Moved, not copied: the file may be refused because it is larger than memory or disk.
    move_file(path, refused / free)


def _turn(file: WaitingFile) -> tuple[bool, datetime, str]:
    return not file.is_left_behind, file.changed_at, file.name

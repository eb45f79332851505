"""Files that a shop drops into its landing folder, instead of sending them to the service."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType

import polars as pl
from upath import UPath

from resources.access.actor import Actor
from resources.base.errors import CorruptArtifact, InvalidInput, RecsaasError, TooLarge, UploadRefused
from resources.base.tenant import TenantId
from resources.jobs.claims import OUTAGES
from resources.landing.folders import list_landing, remove_notice, take_out
from resources.landing.names import NOTICE, several_names, shown
from resources.landing.refused import code_of, set_aside
from resources.storage.disk import work_folder
from resources.storage.file_store import StoredFile
from resources.storage.lake import Lake, fetch_file, local_path, read_json, write_json
from resources.storage.listing import list_files, stored_file
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport
from resources.uploads.store_in_child import store_in_child

_TAKING = ".taking"
"""Folder into which older versions moved a file before they read it, beside the others of its kind."""
_KINDS = frozenset(kind.value for kind in Kind)
_UNFINISHED = (
    *(".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".opdownload"),
    *(".inprogress", ".uploading", ".writing", ".swp", ".lock", "~"),
)
"""Endings of names that programs give a file while they write it; browsers, FTP and SFTP clients, editors."""
_UNFINISHED_BEGINNINGS = (".", "~$", "_temporary")
_MOST_DEATHS = 2
_LANDING = Actor(kind="system", id="landing folder", name="landing folder", source="pipeline")
_MISPLACED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class LandedFile:
    """Outcome of one dropped file: a report, or the reason why it was refused, with its stable code.

    The reason may quote the file, so it belongs where an erasure reaches.
    """

    name: str
    report: UploadReport | None
    refusal: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A dropped file that no run has taken. `mark` is another one after every write (see `StoredFile`).

    `path` is its place in the folder of its kind; a run that died has `moved` it to the tenant's part of the lake, or,
    in an older version, to `.taking/`. `deaths` says how many runs have died with it in hand.
    """

    kind: Kind
    path: str
    size: int
    changed_at: datetime
    mark: str
    moved: bool = False
    deaths: int = 0

    @property
    def file_name(self) -> str:
        """Its name on the disk, as the shop wrote it."""
        return self.path.removeprefix(f"{_TAKING}/")

    @property
    def name(self) -> str:
        """The name that the shop gave it, as text."""
        return shown(self.file_name)

    @property
    def is_left_behind(self) -> bool:
        """Whether a run that died had it in hand or has moved it."""
        return self.moved or self.path != self.file_name or self.deaths > 0


@dataclass(frozen=True, slots=True)
class _Reserved:
    """A file where nobody else replaces it. `problem` is what is wrong with it, whatever it holds."""

    path: UPath
    mark: str
    problem: UploadRefused | None = None


class _InHand:
    """Note on the disk that a file is being read, and take the note away when it was: a death leaves it.

    So does an error that nobody expected, because the file may be its cause. An outage is not the file's fault.
    """

    def __init__(self, lake: Lake, tenant: TenantId, file: WaitingFile) -> None:
        self._note = lake.tenant(tenant).in_hand(file.kind.value)
        self._file = file

    def __enter__(self) -> None:
        write_json(self._note, {"file": self._file.name, "times": self._file.deaths + 1})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unexpected = kind is not None and issubclass(kind, (Exception, pl.exceptions.PanicException))
        if not unexpected or isinstance(error, (*OUTAGES, RecsaasError)):
            self._note.unlink(missing_ok=True)


def waiting_by_tenant(landing: Iterable[StoredFile]) -> dict[str, tuple[WaitingFile, ...]]:
    """Sort one listing of everybody's landing folders by tenant; each tenant's files oldest first.

    Names that start with a dot or end like those of programs at work are still being written; folders in folders belong
    to nobody.
    """
    found: dict[str, list[WaitingFile]] = defaultdict(list)
    for each in landing:
        tenant, kind, path = each.name.split("/", 2) if each.name.count("/") >= 2 else ("", "", "")
        if kind in _KINDS:
            file = WaitingFile(Kind(kind), path, each.size, each.changed_at, each.mark)
            if _is_whole(file.file_name):
                found[tenant].append(file)
    return {tenant: tuple(sorted(files, key=_turn)) for tenant, files in found.items()}


def waiting_files(lake: Lake, tenant: TenantId, kind: Kind) -> tuple[WaitingFile, ...]:
    """The files of one tenant and kind in their turn: what a dead run had in hand first, then the oldest."""
    dropped = waiting_by_tenant(list_landing(lake, tenant.value)).get(tenant.value, ())
    return with_left_behind(lake, tenant, (file for file in dropped if file.kind == kind), (kind,))


def with_left_behind(
    lake: Lake, tenant: TenantId, dropped: Iterable[WaitingFile], kinds: Iterable[Kind] = tuple(Kind)
) -> tuple[WaitingFile, ...]:
    """The dropped files and those that dead runs had taken already, in their turn."""
    files = list(dropped)
    if local_path(lake.root) is not None:  # an object store has no rename, so nothing is moved
        for kind in kinds:
            moved = (file for file in list_files(lake.tenant(tenant).taking(kind.value)) if _is_whole(file.name))
            files += [WaitingFile(kind, f.name, f.size, f.changed_at, f.mark, moved=True) for f in moved]
    deaths = {kind: _deaths(lake, tenant, kind) for kind in {file.kind for file in files}}
    return tuple(sorted((_with_deaths(file, deaths[file.kind]) for file in files), key=_turn))


def is_quiet(changed_at: datetime, *, now: datetime, settle_seconds: float) -> bool:
    """Whether a file has been quiet for long enough to be whole. A time in the future says nothing, and counts."""
    return abs((now - changed_at).total_seconds()) >= settle_seconds


def take_landed_files(
    store: TenantStore, kind: Kind, policy: UploadPolicy, *, now: datetime, settle_seconds: float = 0.0
) -> tuple[LandedFile, ...]:
    """Store every file of the tenant's landing folder as an upload, oldest first.

    A stored file leaves the folder, because the upload keeps the original. A refused one moves to the tenant's part of
    the lake, and a JSON file in its place says why. What is written anew while it is being taken stays for the next
    time. A file with which two runs have died is refused. The caller holds the tenant's run lock.
    """
    outcomes = []
    for file in waiting_files(store.lake, store.tenant, kind):
        if is_quiet(file.changed_at, now=now, settle_seconds=settle_seconds):
            outcome = _take(store, file, policy, now=now)
            outcomes += [outcome] if outcome is not None else []
    return tuple(outcomes)


def refuse_misplaced(
    lake: Lake, tenants: Iterable[TenantId], landing: Iterable[StoredFile], *, now: datetime, settle_seconds: float
) -> tuple[str, ...]:
    """Refuse files that lie where no run looks, at most 100 at once; return their paths.

    Nobody else touches such a file, so no lock is held.
    """
    names, refused = {tenant.value: tenant for tenant in tenants}, []
    for file in landing:
        tenant = names.get(file.name.split("/")[0])
        if tenant is None or not _is_misplaced(file.name):
            continue
        if is_quiet(file.changed_at, now=now, settle_seconds=settle_seconds):
            place = file.name.partition("/")[2]
            with suppress(UploadRefused, PermissionError):  # it cannot be moved; the others can
                if set_aside(lake, tenant, place, _misplaced(place), size=file.size, now=now):
                    refused.append(shown(file.name))
        if len(refused) == _MISPLACED_AT_ONCE:
            break
    return tuple(refused)


def _take(store: TenantStore, file: WaitingFile, policy: UploadPolicy, *, now: datetime) -> LandedFile | None:
    """Store a copy, which nobody writes to any more, and say what became of it; None when the file has changed."""
    lake, tenant = store.lake, store.tenant
    place = f"{file.kind.value}/{file.file_name}"
    try:
        reserved = _reserve(lake, tenant, file)
    except UploadRefused as refusal:
        return LandedFile(file.name, None, refusal.message, refusal.reason)
    if reserved is None:
        return None
    path, mark = reserved.path, reserved.mark
    with work_folder(lake.scratch, "landed") as work:
        copy = work / "file"
        try:
            _check(file, reserved, policy.max_bytes)
            with _InHand(lake, tenant, file):
                fetch_file(path, copy)
                if not _unchanged(path, mark):
                    return None
                upload = IncomingUpload(
                    file.kind, copy, filename=file.name, origin="landing", received_at=now, by=_LANDING
                )
                report = store_in_child(store, upload, policy)
        except FileNotFoundError:
            if _unchanged(path, mark):
                raise
            return None
        except (InvalidInput, TooLarge) as refusal:
            if reserved.problem is not None or _unchanged(path, mark):
                set_aside(lake, tenant, place, refusal, size=file.size, now=now, moved_to=path)
                store.folder.in_hand(file.kind.value).unlink(missing_ok=True)
            return LandedFile(file.name, None, refusal.message, code_of(refusal))
    if _unchanged(path, mark):
        path.unlink(missing_ok=True)
        remove_notice(lake, f"{tenant}/{place}")
    return LandedFile(file.name, report)


def _check(file: WaitingFile, reserved: _Reserved, max_bytes: int) -> None:
    """Raise what is known to be wrong before anything is read."""
    if reserved.problem is not None:
        raise reserved.problem
    if file.size > max_bytes:
        raise TooLarge(
            f"{file.name} has {file.size} bytes, and at most {max_bytes} are accepted. Split it, or ask the "
            "operator to raise RECSAAS_MAX_UPLOAD_BYTES."
        )
    if file.deaths >= _MOST_DEATHS:
        raise UploadRefused(
            "not_readable",
            f"{_MOST_DEATHS} runs broke off while they read {file.name}. Save the table anew, as CSV if it was "
            "Parquet, in smaller files if it is large, and drop that.",
        )


def _reserve(lake: Lake, tenant: TenantId, file: WaitingFile) -> _Reserved | None:
    """Return where the file lies and its mark there, or None when it is gone or was replaced since it was listed.

    On a disk it is moved to where its owner does not write: what they write under its name now is another file, which
    its removal cannot hit. An object store has no rename; there it stays.

    Raises:
        UploadRefused: it cannot be moved, and stays where it is.
    """
    taking = lake.tenant(tenant).taking(file.kind.value) / file.file_name
    if file.moved:
        return _Reserved(taking, file.mark, _problem(taking))
    path = lake.landing(tenant, file.kind.value) / file.path
    if local_path(path) is None:
        return _Reserved(path, file.mark)
    if os.path.lexists(str(taking)):  # its turn comes when the one before it is gone
        problem = _problem(taking)
        return None if problem is None else _Reserved(taking, "", problem)
    try:
        if not take_out(lake, f"{tenant}/{file.kind.value}/{file.path}", taking):
            return None
    except PermissionError as error:
        message = f"{file.name} cannot be moved out of its folder: give the user that runs recsaas the right to."
        raise UploadRefused("not_movable", message) from error
    if (problem := _problem(taking)) is not None:
        return _Reserved(taking, "", problem)
    found = stored_file(taking)
    if found is None or (found.size, found.changed_at) != (file.size, file.changed_at):
        return None  # listed by its new place next time, it has to settle first
    return _Reserved(taking, found.mark)


def _problem(taken: UPath) -> UploadRefused | None:
    """What a look at the moved file itself says: its name may have been given to something else since it was listed."""
    found = os.lstat(str(taken))
    if not stat.S_ISREG(found.st_mode):
        return UploadRefused(
            "not_a_file", f"{shown(taken.name)} is no file but a link or a folder. Drop the file itself."
        )
    return several_names(taken.name) if found.st_nlink > 1 else None


def _unchanged(path: UPath, mark: str) -> bool:
    found = stored_file(path)
    return found is not None and found.mark == mark


def _deaths(lake: Lake, tenant: TenantId, kind: Kind) -> tuple[str, int]:
    """The file of this kind that was in hand when a run died, and how many runs in a row that was."""
    try:
        note = read_json(lake.tenant(tenant).in_hand(kind.value))
        return str(note["file"]), int(note["times"])
    except (CorruptArtifact, KeyError, TypeError, ValueError):
        return "", 0


def _with_deaths(file: WaitingFile, deaths: tuple[str, int]) -> WaitingFile:
    name, times = deaths
    return replace(file, deaths=times) if file.name == name else file


def _is_whole(name: str) -> bool:
    """Whether a name is one that a file has when it is complete, and one of the shop's."""
    if not name or "/" in name or name.lower().startswith(_UNFINISHED_BEGINNINGS) or name.endswith(NOTICE):
        return False
    return not name.lower().endswith(_UNFINISHED)


def _is_misplaced(path: str) -> bool:
    _, *folders, name = path.split("/")
    if any(folder.startswith(".") for folder in folders) or not _is_whole(name):
        return False
    return len(folders) != 1 or folders[0] not in _KINDS


def _misplaced(place: str) -> UploadRefused:
    return UploadRefused(
        "unknown_folder",
        f"{shown(place)} lies where no run looks. Put files straight into one of {', '.join(sorted(_KINDS))}.",
    )


def _turn(file: WaitingFile) -> tuple[bool, datetime, str]:
    return not file.is_left_behind, file.changed_at, file.path

"""The releases of one tenant: write, verify, promote, roll back, list.

A release is a directory `releases/<version>/` that appears whole, never changes, and is complete by itself. Which one
is live is the pointer `current.json`, moved last. A crash at any point leaves the old state or the new one; what a
crash leaves behind has a name that no reader looks at, and the next write removes it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from upath import UPath

from resources.base.errors import Conflict, CorruptArtifact, CorruptRelease, InvalidInput, NoRelease, ReleaseNotFound
from resources.release.contents import MANIFEST, ReleaseContents, known_names
from resources.release.folder import describe, locked
from resources.release.manifest import TABLE_ALGORITHMS, ManifestDraft, ReleaseFile, ReleaseManifest
from resources.release.pointer import POINTER, Pointer, PointerMove, moved, read_pointer, write_pointer
from resources.storage.lake import TenantLake, local_path, mark_of, put_file, read_bytes, sync, write_bytes
from resources.storage.listing import list_files, remove_folder

_VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_WRITING, _REMOVING = ".writing-", ".removing-"


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """One line of the list of releases. `problem` says why the manifest cannot be read, and then there is none."""

    version: str
    is_current: bool
    manifest: ReleaseManifest | None
    problem: str | None = None


class ReleaseStore:
    """Reads and writes the releases of one tenant."""

    def __init__(self, lake: TenantLake) -> None:
        self._tenant = lake.tenant.value
        self._root = lake.releases
        self._local = local_path(lake.releases)
        self.cache = self._local or lake.scratch / "releases"
        """Folder of this machine for work in progress and, beside an object store, for copies of releases."""
        self.marks = lake.scratch / "verified"
        """Folder of this machine with what was verified here, see `resources.release.verified`."""

    def directory(self, version: str) -> UPath:
        """Directory of a release.

        Raises:
            ReleaseNotFound: there is no such release, or the name cannot be one.
        """
        directory = self._root / version if _VERSION.fullmatch(version) else None
        if directory is None or not directory.is_dir():
            raise ReleaseNotFound(
                f"tenant {self._tenant} has no release {version[:80]!r}; list its releases to see which there are."
            )
        return directory

    def write(self, version: str, contents: ReleaseContents, draft: ManifestDraft) -> ReleaseManifest:
        """Store a release; it is not live before `promote`. The same release written again changes nothing.

        Raises:
            InvalidInput: `version` does not have the form of `new_version`, or the draft is another tenant's.
            CorruptArtifact: the contents do not fit together; nothing was written.
            Conflict: the version exists with other contents; releases never change.
        """
        if not _VERSION.fullmatch(version):
            raise InvalidInput(f"{version[:80]!r} is not a release version; use one made by new_version().")
        if draft.tenant != self._tenant:
            raise InvalidInput(f"the manifest is of tenant {draft.tenant}, the store of tenant {self._tenant}.")
        contents.check()
        if draft.algorithm in TABLE_ALGORITHMS and contents.item_table is None:
            raise CorruptArtifact(f"release item_table: {draft.algorithm} answers from one; build the release again.")
        with locked(self.cache):
            self._remove_leftovers()
            staging = Path(tempfile.mkdtemp(prefix=_WRITING, dir=self.cache))
            try:
                contents.write_files(staging)
                files = tuple(describe(staging / name) for name in contents.file_names)
                manifest = ReleaseManifest.of(
                    draft, version=version, users=len(contents.user_ids), items=contents.items.height, files=files
                )
                existing = self._existing(version, files)
                if existing is not None:
                    return existing
                (staging / MANIFEST).write_bytes(manifest.to_json())
                self._publish(staging, version, (*contents.file_names, MANIFEST))
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return manifest

    def manifest(self, version: str) -> ReleaseManifest:
        """Read a release's manifest.

        Raises:
            ReleaseNotFound: there is no such release.
            CorruptRelease: the manifest is missing, was changed, or is another release's.
        """
        directory = self.directory(version)
        name = f"release {version} of tenant {self._tenant}"
        try:
            data = read_bytes(directory / MANIFEST)
        except FileNotFoundError as error:
            raise CorruptRelease(
                f"{name}: {MANIFEST} is missing. Promote another release, or run the tenant's pipeline again."
            ) from error
        manifest = ReleaseManifest.from_json(data, name=name)
        if (manifest.tenant, manifest.version) != (self._tenant, version):
            raise CorruptRelease(
                f"{name}: {MANIFEST} is that of release {manifest.version} of tenant {manifest.tenant}; "
                "restore the directory or promote another release."
            )
        return manifest

    def verify(self, version: str) -> ReleaseManifest:
        """Read every byte of a release and compare it with the manifest.

        Raises:
            ReleaseNotFound: there is no such release.
            CorruptRelease: names the file that is missing or changed.
        """
        manifest = self.manifest(version)
        verify_files(self.directory(version), manifest)
        return manifest

    def promote(self, version: str, now: datetime, actor: str, reason: str = "") -> Pointer:
        """Make a release live, after verifying it. Promoting the live one changes nothing.

        A pointer that cannot be read is replaced: this is how it is repaired, and its history then starts anew.

        Raises:
            ReleaseNotFound, CorruptRelease: nothing was changed.
            Conflict: the gate refused the release and no reason for forcing it was given.
        """
        with locked(self.cache):
            manifest = self.verify(version)
            forced = manifest.gate.outcome == "refused"
            if forced and not reason.strip():
                raise Conflict(
                    f"the gate refused release {version} of tenant {self._tenant} "
                    f"({'; '.join(manifest.gate.reasons) or 'no reason recorded'}); to force it, give a reason."
                )
            mark = mark_of(self._root / POINTER)  # before the pointer is read, so that no later move goes unseen
            pointer, note = self._pointer_to_replace()
            if pointer is not None and pointer.version == version:
                return pointer
            move = PointerMove(
                action="promote",
                version=version,
                replaced=pointer.version if pointer else None,
                at=now,
                actor=actor,
                reason=f"{reason}{note}".strip(),
                forced=forced,
            )
            return self._move(pointer, move, mark)

    def rollback(self, now: datetime, actor: str, reason: str = "") -> Pointer:
        """Make the previously live release live again, after verifying it.

        Raises:
            NoRelease: the tenant has no live release.
            NotFound: no release was live before.
            ReleaseNotFound, CorruptRelease: the previous one cannot be served; nothing was changed.
        """
        with locked(self.cache):
            mark = mark_of(self._root / POINTER)
            pointer = self.pointer()
            if pointer is None:
                raise NoRelease(f"tenant {self._tenant} has no live release; promote one first.")
            version = pointer.previous()
            self.verify(version)
            move = PointerMove(
                action="rollback",
                version=version,
                replaced=pointer.version,
                at=now,
                actor=actor,
                reason=reason.strip(),
            )
            return self._move(pointer, move, mark)

    def replace(self, version: str, copy: str) -> None:
        """Let the release `copy` take the place of `version` in the pointer and its history, then remove `version`.

        Repeatable: a crash leaves the pointer as it was or moved, and never naming a release that is gone.

        Raises:
            ReleaseNotFound, CorruptRelease: the copy or the pointer cannot be read; nothing was changed.
        """
        with locked(self.cache):
            self.verify(copy)
            mark = mark_of(self._root / POINTER)
            pointer = self.pointer()
            if pointer is not None and (after := pointer.renamed({version: copy})) != pointer:
                write_pointer(self._root, after, mark)
            self._remove(version)

    def remove(self, version: str) -> None:
        """Remove a release that is not live.

        Raises:
            Conflict: it is live; promote another one first.
        """
        with locked(self.cache):
            if self.current() == version:
                raise Conflict(f"release {version} of tenant {self._tenant} is live; promote another one first.")
            self._remove(version)

    def pointer(self) -> Pointer | None:
        """Return the live version with the history of moves; `None` when nothing was ever promoted.

        Raises:
            CorruptRelease: the pointer is lost or cannot be read; promote a release to write it anew.
        """
        return read_pointer(self._root, tenant=self._tenant)

    def current(self) -> str | None:
        """Return the live version, at the price of one small read; raises as `pointer` does."""
        pointer = self.pointer()
        return pointer.version if pointer else None

    def live_version(self) -> str:
        """Return the version of the release that the tenant is answered from now; raises as `pointer` does.

        Raises:
            NoRelease: nothing is live yet.
        """
        version = self.current()
        if version is None:
            raise NoRelease(
                f"Tenant {self._tenant} has no release yet. Upload interactions (and items) and wait for the pipeline "
                f"to finish, or make one: recsaas run {self._tenant}"
            )
        return version

    def list(self, *, most: int | None = None) -> tuple[ReleaseSummary, ...]:
        """Return the `most` newest releases, or all; one that cannot be read is listed with its problem."""
        current = self.current()
        names = {file.name.partition("/")[0] for file in list_files(self._root)}
        versions = sorted((name for name in names if _VERSION.fullmatch(name)), reverse=True)
        return tuple(self._summary(version, version == current) for version in versions[:most])

    def _summary(self, version: str, is_current: bool) -> ReleaseSummary:
        try:
            return ReleaseSummary(version, is_current, self.manifest(version))
        except CorruptRelease as error:
            return ReleaseSummary(version, is_current, None, error.message)

    def _existing(self, version: str, files: tuple[ReleaseFile, ...]) -> ReleaseManifest | None:
        """Return the stored manifest of the same release; `None` when nothing complete is there."""
        if not (self._root / version / MANIFEST).exists():
            return None
        manifest = self.verify(version)
        if manifest.files != files:
            raise Conflict(
                f"release {version} of tenant {self._tenant} exists with other contents, and releases never change; "
                "write this one under a new version."
            )
        return manifest

    def _publish(self, staging: Path, version: str, names: tuple[str, ...]) -> None:
        """Move the files to their place, the manifest last: without it the directory is no release."""
        if self._local is None:
            for name in names:
                put_file(staging / name, self._root / version / name)
            return
        for name in names:
            sync(staging / name)
        staging.chmod(0o755)
        sync(staging)
        target = self._local / version
        shutil.rmtree(target, ignore_errors=True)  # only ever a directory without a manifest
        staging.rename(target)
        sync(self._local)

    def _remove(self, version: str) -> None:
        """Take the release's name away first, so that nobody sees a part of it."""
        if self._local is None:
            (self._root / version / MANIFEST).unlink(missing_ok=True)
            remove_folder(self._root / version)
            shutil.rmtree(self.cache / version, ignore_errors=True)
        elif (self._local / version).exists():
            gone = self._local / f"{_REMOVING}{version}"
            (self._local / version).rename(gone)
            sync(self._local)
            shutil.rmtree(gone)

    def _remove_leftovers(self) -> None:
        """Remove what a writer that died left behind; the lock says that no other writer is alive."""
        for leftover in (*self.cache.glob(f"{_WRITING}*"), *self.cache.glob(f"{_REMOVING}*")):
            shutil.rmtree(leftover)

    def _pointer_to_replace(self) -> tuple[Pointer | None, str]:
        try:
            return self.pointer(), ""
        except CorruptRelease:
            lost = self._root / POINTER
            if lost.exists():
                write_bytes(self._root / f"{POINTER}.unreadable", read_bytes(lost))
            return None, " [the previous pointer was lost]"

    def _move(self, pointer: Pointer | None, move: PointerMove, mark: str | None) -> Pointer:
        after = moved(pointer, move)
        write_pointer(self._root, after, mark)
        return after


def verify_files(directory: Path | UPath, manifest: ReleaseManifest) -> None:
    """Compare every file of a release directory with its manifest.

    Raises:
        CorruptRelease: names the file that is missing or changed.
    """
    listed = {file.name: file for file in manifest.files}
    for name in known_names(listed):
        problem = None
        if name not in listed:
            problem = "is not in the manifest"
        else:
            try:
                if describe(directory / name) != listed[name]:
                    problem = "was changed after it was written"
            except FileNotFoundError:
                problem = "is missing"
        if problem:
            raise CorruptRelease(
                f"release {manifest.version} of tenant {manifest.tenant}: {name} {problem}. "
                "Promote another release, or run the tenant's pipeline again."
            )


def new_version(now: datetime, suffix: str) -> str:
    """Return the version of a release made at `now`; `suffix` is 8 lower-case hex digits, random or from a run id.

    Raises:
        InvalidInput: `now` has no time zone, or `suffix` is not 8 hex digits.
    """
    if now.tzinfo is None:
        raise InvalidInput("a release version needs a time with a time zone.")
    version = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{suffix}"
    if not _VERSION.fullmatch(version):
        raise InvalidInput(f"{suffix!r} is not 8 lower-case hex digits.")
    return version

"""Landing folders on a disk: nothing below the root is reached through a link.

Every folder on the way is opened by itself, inside the one before it, and what is read, moved or written is what lies
in the folder that was opened, also when somebody puts a link in its place meanwhile.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from upath import UPath

from resources.landing.names import notice_name, several_names
from resources.storage.disk import sync
from resources.storage.file_store import StoredFile
from resources.storage.local_files import file_from_stat

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe would be waited for without O_NONBLOCK.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM})
_DEEPEST = 4
_MOST_ENTRIES = 10_000
"""Looked at per tenant: whoever drops more than that waits for their own files, and nobody else does."""
_COPYING = ".copying"
_PIECE = 1024 * 1024


class LandingOnDisk:
    """The landing folders below `root`, a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self, tenant: str | None) -> Iterator[StoredFile]:
        """Yield the files of all tenants or of one; see `list_landing`."""
        for name, found in _entries(self._root, tenant, _DEEPEST):
            if stat.S_ISREG(found.st_mode):
                yield file_from_stat(name, found)

    def links(self) -> tuple[str, ...]:
        """Return the links in the place of folders."""
        return tuple(sorted(name for name, found in _entries(self._root, None, 2) if stat.S_ISLNK(found.st_mode)))

    def take_out(self, path: str, target: UPath) -> bool:
        """Move a file out, as `take_out` says.

        Raises:
            UploadRefused: the file lies on another disk and has several names.
            PermissionError: the folder may not be changed.
        """
        folder, _, name = path.rpartition("/")
        place = Path(str(target))
        place.parent.mkdir(parents=True, exist_ok=True)
        with self._opened(folder) as descriptor:
            if descriptor is None or not _is_file(descriptor, name):
                return False
            try:
                os.rename(name, place, src_dir_fd=descriptor)
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                return _copy_out(descriptor, name, place)
        sync(place.parent)
        return True

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        """Open a file for reading. Raises FileNotFoundError when no file is there, or a link."""
        folder, _, name = path.rpartition("/")
        with self._opened(folder) as descriptor:
            if descriptor is None:
                raise FileNotFoundError(path)
            with _reading(descriptor, name) as handle:
                yield handle

    def write_notice(self, path: str, value: dict[str, Any]) -> None:
        """Write the note beside a file, where that is possible."""
        folder, _, name = path.rpartition("/")
        data = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        with self._opened(folder) as descriptor, suppress(OSError):
            if descriptor is not None:
                _write(descriptor, notice_name(name), data)

    def remove_notice(self, path: str) -> None:
        """Remove the note beside a file, where that is possible."""
        folder, _, name = path.rpartition("/")
        with self._opened(folder) as descriptor, suppress(OSError):
            if descriptor is not None:
                os.unlink(notice_name(name), dir_fd=descriptor)

    @contextmanager
    def _opened(self, folder: str) -> Iterator[int | None]:
        """A descriptor of a folder below the root; None when it is not there, or a part of the path is a link."""
        with ExitStack() as stack:
            descriptor = stack.enter_context(_open_folder(str(self._root), None))
            for name in folder.split("/"):
                if descriptor is not None:
                    descriptor = stack.enter_context(_open_folder(name, descriptor))
            yield descriptor


def _entries(root: Path, tenant: str | None, deepest: int) -> Iterator[tuple[str, os.stat_result]]:
    with _open_folder(str(root), None) as top:
        if top is None:
            return
        for name in sorted(os.listdir(top)) if tenant is None else [tenant]:
            found = _stat(top, name)
            if found is None:
                continue
            yield name, found
            with _open_folder(name, top) as folder:
                if folder is not None:
                    yield from _below(folder, f"{name}/", deepest - 1, iter(range(_MOST_ENTRIES)))


def _below(folder: int, prefix: str, deeper: int, tickets: Iterator[int]) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry, _ in zip(entries, tickets, strict=False):
            found = _stat(folder, entry.name)
            if found is None:
                continue
            yield f"{prefix}{entry.name}", found
            if deeper > 1 and stat.S_ISDIR(found.st_mode):
                with _open_folder(entry.name, folder) as inner:
                    if inner is not None:
                        yield from _below(inner, f"{prefix}{entry.name}/", deeper - 1, tickets)


@contextmanager
def _open_folder(name: str, within: int | None) -> Iterator[int | None]:
    """The root itself, without `within`, may be a link: shops cannot write beside it."""
    flags = _FOLDER if within is None else _FOLDER | os.O_NOFOLLOW
    try:
        descriptor = os.open(name, flags, dir_fd=within)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _stat(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
        return None


def _is_file(folder: int, name: str) -> bool:
    found = _stat(folder, name)
    return found is not None and stat.S_ISREG(found.st_mode)


@contextmanager
def _reading(folder: int, name: str) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link, or a socket or pipe
            raise
        raise FileNotFoundError(name) from error
    with os.fdopen(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(name)
        yield handle


def _copy_out(folder: int, name: str, target: Path) -> bool:
    """For a landing folder on another disk, from which nothing can be renamed."""
    beside = target.with_name(_COPYING)
    try:
        with _reading(folder, name) as reading:
            before = os.fstat(reading.fileno())
            if before.st_nlink > 1:
                raise several_names(name)
            with open(beside, "wb") as writing:
                shutil.copyfileobj(reading, writing, _PIECE)
            os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
            sync(beside)
    except FileNotFoundError:
        return False
    now = _stat(folder, name)
    if now is None or file_from_stat(name, now) != file_from_stat(name, before):
        beside.unlink()
        return False
    os.replace(beside, target)
    sync(target.parent)
    os.unlink(name, dir_fd=folder)
    return True


def _write(folder: int, name: str, data: bytes) -> None:
    """Write a file whole into an opened folder; a link of that name is replaced, and not followed."""
    beside = f".{uuid.uuid4().hex}.tmp"
    descriptor = os.open(beside, _NEW_FILE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as writing:
            # Whoever may look into the folder may read it: it is written for them, and our own files are nobody else's.
            os.fchmod(descriptor, stat.S_IMODE(os.fstat(folder).st_mode) & 0o664 | 0o600)
            writing.write(data)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
        raise

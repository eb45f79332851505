"""The folders into which shops drop files, `<lake>/landing/<tenant>/<kind>/`. A shop may write there what it likes.

On a disk nothing below the root is reached through a link: every folder on the way is opened by itself, inside the one
before it, and what is read, moved or written is what lies in the folder that was opened, also when somebody puts a link
in its place meanwhile. An object store has no links. Paths are texts from the root on: `<tenant>/<kind>/<file>`.
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

from resources.base.errors import UploadRefused
from resources.storage.disk import sync
from resources.storage.lake import Lake, move_file, write_json
from resources.storage.listing import StoredFile, file_from_stat, list_files

NOTICE = ".why.json"
"""Ending of the note beside a refused file that tells its sender the reason."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe would be waited for without O_NONBLOCK.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM})
_DEEPEST = 4
_MOST_ENTRIES = 10_000
"""Looked at per tenant: whoever drops more than that waits for their own files, and nobody else does."""
_LONGEST_NAME = 200
_COPYING = ".copying"
_PIECE = 1024 * 1024


def list_landing(lake: Lake, tenant: str | None = None) -> Iterator[StoredFile]:
    """Files in everybody's landing folders, or in those of one tenant, in no order. Links and pipes are no files.

    On a disk at most 10,000 entries of each tenant are looked at, and no folder that lies deeper than `.taking/`.
    """
    root = lake.landing_root
    if isinstance(root, Path):
        for name, found in _entries(root, tenant, _DEEPEST):
            if stat.S_ISREG(found.st_mode):
                yield file_from_stat(name, found)
        return
    for file in list_files(root if tenant is None else root / tenant):
        yield file if tenant is None else StoredFile(f"{tenant}/{file.name}", file.size, file.changed_at, file.mark)


def linked_folders(lake: Lake) -> tuple[str, ...]:
    """Links in the place of a tenant's folder or of a folder in it: nothing behind them is ever taken."""
    root = lake.landing_root
    if not isinstance(root, Path):
        return ()
    return tuple(sorted(name for name, found in _entries(root, None, 2) if stat.S_ISLNK(found.st_mode)))


def take_out(lake: Lake, path: str, target: UPath) -> bool:
    """Move what lies at `path` to `target`, which no shop can write to; False when no file is there any more.

    A link is moved as a link, and never what it leads to. From another disk the file is copied; then a newer one can be
    lost that is written in the instant between the last look and its removal.

    Raises:
        UploadRefused: the file lies on another disk and has several names, so that it may be somebody else's.
        PermissionError: the folder may not be changed.
    """
    if not isinstance(target, Path):
        move_file(lake.landing_root / path, target)
        return True
    folder, _, name = path.rpartition("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _opened(lake, folder) as descriptor:
        if descriptor is None or not _is_file(descriptor, name):
            return False
        try:
            os.rename(name, target, src_dir_fd=descriptor)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return _copy_out(descriptor, name, target)
    sync(target.parent)
    return True


@contextmanager
def opened_file(lake: Lake, path: str) -> Iterator[BinaryIO]:
    """Open a dropped file for reading.

    Raises:
        FileNotFoundError: no file is there, or a link.
    """
    if not isinstance(lake.landing_root, Path):
        with (lake.landing_root / path).open("rb") as handle:
            yield handle
        return
    folder, _, name = path.rpartition("/")
    with _opened(lake, folder) as descriptor:
        if descriptor is None:
            raise FileNotFoundError(path)
        with _reading(descriptor, name) as handle:
            yield handle


def write_notice(lake: Lake, path: str, value: dict[str, Any]) -> None:
    """Tell the sender of the file at `path`, beside it, why it was refused. Where that is not possible, nobody is told.

    The reason is kept in the tenant's part of the lake too, so this one may be missing.
    """
    folder, _, name = path.rpartition("/")
    if not isinstance(lake.landing_root, Path):
        write_json(lake.landing_root / folder / _notice_name(name), value)
        return
    data = json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    with _opened(lake, folder) as descriptor, suppress(OSError):
        if descriptor is not None:
            _write(descriptor, _notice_name(name), data)


def remove_notice(lake: Lake, path: str) -> None:
    """Remove what `write_notice` left beside an earlier file of this name."""
    folder, _, name = path.rpartition("/")
    if not isinstance(lake.landing_root, Path):
        (lake.landing_root / folder / _notice_name(name)).unlink(missing_ok=True)
        return
    with _opened(lake, folder) as descriptor, suppress(OSError):
        if descriptor is not None:
            os.unlink(_notice_name(name), dir_fd=descriptor)


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
def _opened(lake: Lake, folder: str) -> Iterator[int | None]:
    """A descriptor of a folder below the root; None when it is not there, or a part of the path is a link."""
    with ExitStack() as stack:
        descriptor = stack.enter_context(_open_folder(str(lake.landing_root), None))
        for name in folder.split("/"):
            if descriptor is not None:
                descriptor = stack.enter_context(_open_folder(name, descriptor))
        yield descriptor


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


def several_names(name: str) -> UploadRefused:
    """The refusal of a file that others can reach or own under another name."""
    return UploadRefused(
        "linked_file",
        f"{shown(name)} has a second name elsewhere (a hard link), so it may be somebody else's. Drop a copy of it.",
    )


def shown(name: str) -> str:
    """A file name as text that can be stored, logged and printed: a disk takes any bytes but `/`."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _notice_name(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_LONGEST_NAME]) + NOTICE


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

"""What lies in a folder of the lake, and how to tell that a file has changed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from upath import UPath

from resources.storage.disk import sync

_DELETED_AT_ONCE = 1000
_LAST_SECOND = 253_402_300_799  # of the year 9999: whoever writes a file may set any time, and later ones are none


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as a listing shows it: its name from the listed folder on, its size in bytes, when it changed last.

    `mark` is another one after every write, also when name, size and time stay the same: on a disk the file has another
    inode or change time, in an object store another ETag or time.
    """

    name: str
    size: int
    changed_at: datetime
    mark: str


def list_files(folder: UPath) -> Iterator[StoredFile]:
    """Every file in `folder` and below, in no order; none when there is no such folder.

    Costs one request per thousand files in an object store. A file that goes away while it is listed is left out.
    `folder` is one that only we write to; for the folders of shops there is `list_landing`.
    """
    if isinstance(folder, Path):
        yield from _files_on_disk(str(folder))
    else:
        from resources.storage import object_store

        yield from objects_as_files(object_store.list_objects(folder), object_store.bucket_and_prefix(folder)[1])


def objects_as_files(objects: Iterable[Mapping[str, Any]], prefix: str) -> Iterator[StoredFile]:
    """Objects as `ListObjectsV2` describes them, whoever asked for them; names start after `prefix`."""
    for found in objects:
        key = str(found["Key"])
        if not key.endswith("/"):  # an empty object with which consoles show an empty folder
            yield _object(key.removeprefix(prefix), found["Size"], found["LastModified"], found["ETag"])


def stored_file(path: UPath) -> StoredFile | None:
    """The file as a listing of its folder would show it now, or None when there is none."""
    try:
        if isinstance(path, Path):
            status = path.lstat()
            return file_from_stat(path.name, status) if stat.S_ISREG(status.st_mode) else None
        found = path.fs.info(path.path)
    except FileNotFoundError:
        return None
    if found["type"] != "file":
        return None
    return _object(path.name, found["size"], found["LastModified"], found["ETag"])


def file_from_stat(name: str, found: os.stat_result) -> StoredFile:
    """A file on a disk as a listing shows it."""
    mark = f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"
    changed_at = datetime.fromtimestamp(min(max(found.st_mtime, 0), _LAST_SECOND), UTC)
    return StoredFile(name, found.st_size, changed_at, mark)


def remove_folder(folder: UPath) -> None:
    """Remove a folder with everything in it; one that is not there is no error.

    Raises:
        OSError: something is still there.
    """
    if isinstance(folder, Path):
        if folder.exists():
            shutil.rmtree(folder)
            sync(folder.parent)
        return
    from resources.storage import object_store

    keys = (str(found["Key"]) for found in object_store.list_objects(folder))
    while some := list(islice(keys, _DELETED_AT_ONCE)):
        object_store.delete_objects(folder, some)
    # The answer to a bulk delete does not say for sure what stayed, and somebody may have asked us to erase it.
    left = [str(found["Key"]) for found in islice(object_store.list_objects(folder), 3)]
    if left:
        raise OSError(f"the object store still has {', '.join(left)} after deleting it; try again.")


def _files_on_disk(folder: str) -> Iterator[StoredFile]:
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            # A link could lead anywhere, and a pipe is waited for for ever.
            if stat.S_ISREG(found.st_mode):
                yield file_from_stat(os.path.relpath(path, folder), found)


def _object(name: str, size: int, changed_at: datetime, etag: str) -> StoredFile:
    # Whole seconds: that is all that the answer to a question about a single object holds.
    mark = f"{size}-{etag.strip(chr(34))}-{int(changed_at.timestamp())}"
    return StoredFile(name, size, changed_at, mark)

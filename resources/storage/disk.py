"""Files of this machine that are whole or absent, also after a power cut; the local half of `lake.py`."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ABANDONED_AFTER_SECONDS = 24 * 3600


def says_full(error: Exception) -> bool:
    """Tell whether an error of polars, which has no number, says that there is no room on the disk."""
    return f"(os error {errno.ENOSPC})" in str(error)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` when the block ends well. Makes the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield beside
        sync(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync(path.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file a piece at a time: it may be larger than memory."""
    with open(source, "rb") as reading, open(target, "wb") as writing:
        shutil.copyfileobj(reading, writing, 1024 * 1024)


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def work_folder(parent: Path, purpose: str) -> Iterator[Path]:
    """An empty folder in `parent` for the length of the block; also removes what killed processes left a day ago."""
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{purpose}-"
    for left in parent.glob(f"{prefix}*"):
        try:
            abandoned = time.time() - left.stat().st_mtime > _ABANDONED_AFTER_SECONDS
        except FileNotFoundError:  # its owner has just finished
            continue
        if abandoned:
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""The files of a lake in a folder of this machine."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import polars as pl
from upath import UPath

from resources.storage.disk import copy_file, sync, written_whole
from resources.storage.file_store import FileStore, StoredFile

_LAST_SECOND = 253_402_300_799  # of the year 9999: whoever writes a file may set any time, and later ones are none


class LocalFiles(FileStore):
    """Files on a disk. Writers of one file hold a lock, so a conditional write is a plain one."""

    def local_path(self, path: UPath) -> Path | None:
        return _here(path)

    def endpoint(self, path: UPath) -> str:
        return ""

    def open(self, path: UPath) -> AbstractContextManager[BinaryIO]:
        return path.open("rb")

    def read_bytes(self, path: UPath) -> bytes:
        return path.read_bytes()

    def write_bytes(self, path: UPath, data: bytes) -> None:
        with written_whole(_here(path)) as beside:
            beside.write_bytes(data)

    def mark_of(self, path: UPath) -> str | None:
        return None

    def write_bytes_if_unchanged(self, path: UPath, data: bytes, mark: str | None) -> None:
        self.write_bytes(path, data)

    def put_file(self, local: Path, path: UPath) -> None:
        with written_whole(_here(path)) as beside:
            copy_file(local, beside)

    def fetch_file(self, path: UPath, local: Path) -> None:
        copy_file(_here(path), local)

    def move_file(self, path: UPath, target: UPath) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)

    def local_file(self, path: UPath) -> AbstractContextManager[Path]:
        return nullcontext(_here(path))

    def scan_parquet(self, path: UPath) -> pl.LazyFrame:
        return pl.scan_parquet(_here(path), glob=False)

    def sink_parquet(self, frame: pl.LazyFrame, path: UPath) -> None:
        with written_whole(_here(path)) as beside:
            frame.sink_parquet(beside, compression="zstd", maintain_order=True)

    def sync(self, path: UPath) -> None:
        sync(_here(path))

    def list_files(self, folder: UPath) -> Iterator[StoredFile]:
        top = str(folder)
        for above, _, names in os.walk(top):
            for name in names:
                path = os.path.join(above, name)
                try:
                    found = os.lstat(path)
                except FileNotFoundError:
                    continue
                # A link could lead anywhere, and a pipe is waited for for ever.
                if stat.S_ISREG(found.st_mode):
                    yield file_from_stat(os.path.relpath(path, top), found)

    def stored_file(self, path: UPath) -> StoredFile | None:
        try:
            found = os.lstat(str(path))
        except FileNotFoundError:
            return None
        return file_from_stat(path.name, found) if stat.S_ISREG(found.st_mode) else None

    def remove_folder(self, folder: UPath) -> None:
        if folder.exists():
            shutil.rmtree(_here(folder))
            sync(_here(folder).parent)


def _here(path: UPath) -> Path:
    return Path(str(path))


def file_from_stat(name: str, found: os.stat_result) -> StoredFile:
    """Return a file on a disk as a listing shows it."""
    mark = f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"
    changed_at = datetime.fromtimestamp(min(max(found.st_mtime, 0), _LAST_SECOND), UTC)
    return StoredFile(name, found.st_size, changed_at, mark)

"""What every place for the files of a lake can do: the protocol that a folder and an object store implement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import polars as pl
from upath import UPath


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


class FileStore(Protocol):
    """The files of a lake. Whatever is written is there whole or not at all; a missing file is `FileNotFoundError`.

    The functions of `lake.py` and `listing.py` say what each of these does.
    """

    def local_path(self, path: UPath) -> Path | None:
        """Return `path` as a path of this machine; None when its files lie elsewhere."""

    def endpoint(self, path: UPath) -> str:
        """Return the address of the server; empty for a folder and for AWS."""

    def open(self, path: UPath) -> AbstractContextManager[BinaryIO]:
        """Open a file as a seekable stream, with one request at most."""

    def read_bytes(self, path: UPath) -> bytes:
        """Read a file."""

    def write_bytes(self, path: UPath, data: bytes) -> None:
        """Write a file."""

    def mark_of(self, path: UPath) -> str | None:
        """Return what `write_bytes_if_unchanged` compares; None where writers hold a lock instead."""

    def write_bytes_if_unchanged(self, path: UPath, data: bytes, mark: str | None) -> None:
        """Write a file that is still as `mark` says. Raises Conflict when it is not."""

    def put_file(self, local: Path, path: UPath) -> None:
        """Copy a file of this machine to `path`."""

    def fetch_file(self, path: UPath, local: Path) -> None:
        """Copy a file to this machine, into a folder that is there."""

    def move_file(self, path: UPath, target: UPath) -> None:
        """Give a file another place in the same store."""

    def local_file(self, path: UPath) -> AbstractContextManager[Path]:
        """Give a file as a path of this machine; where it lies elsewhere, a copy that is removed afterwards."""

    def scan_parquet(self, path: UPath) -> pl.LazyFrame:
        """Read a Parquet file lazily."""

    def sink_parquet(self, frame: pl.LazyFrame, path: UPath) -> None:
        """Compute a frame as a stream and write it."""

    def sync(self, path: UPath) -> None:
        """Make a file's bytes, or a folder's entries, survive a power cut."""

    def list_files(self, folder: UPath) -> Iterator[StoredFile]:
        """Yield every file in `folder` and below, in no order."""

    def stored_file(self, path: UPath) -> StoredFile | None:
        """Return a file as a listing of its folder would show it now."""

    def remove_folder(self, folder: UPath) -> None:
        """Remove a folder with everything in it."""

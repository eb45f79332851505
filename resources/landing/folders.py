"""The folders into which shops drop files, `<lake>/landing/<tenant>/<kind>/`. A shop may write there what it likes.

Paths are texts from the root on: `<tenant>/<kind>/<file>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol

from upath import UPath

from resources.landing.in_object_store import LandingInObjectStore
from resources.landing.on_disk import LandingOnDisk
from resources.storage.file_store import StoredFile
from resources.storage.lake import Lake, local_path


class LandingFolders(Protocol):
    """Everybody's landing folders on a disk or in an object store. The functions below say what each of these does."""

    def list(self, tenant: str | None) -> Iterator[StoredFile]:
        """Yield the files of all tenants, or of one."""

    def links(self) -> tuple[str, ...]:
        """Return the links in the place of folders."""

    def take_out(self, path: str, target: UPath) -> bool:
        """Move a file out; False when none is there any more."""

    def opened(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading."""

    def write_notice(self, path: str, value: dict[str, Any]) -> None:
        """Write the note beside a file."""

    def remove_notice(self, path: str) -> None:
        """Remove the note beside a file."""


def list_landing(lake: Lake, tenant: str | None = None) -> Iterator[StoredFile]:
    """Files in everybody's landing folders, or in those of one tenant, in no order. Links and pipes are no files.

    On a disk at most 10,000 entries of each tenant are looked at, and no folder that lies deeper than `.taking/`.

    Raises:
        LakeUnavailable, ConfigurationError: the object store cannot be listed.
    """
    return _folders(lake).list(tenant)


def linked_folders(lake: Lake) -> tuple[str, ...]:
    """Links in the place of a tenant's folder or of a folder in it: nothing behind them is ever taken."""
    return _folders(lake).links()


def take_out(lake: Lake, path: str, target: UPath) -> bool:
    """Move what lies at `path` to `target`, which no shop can write to; False when no file is there any more.

    A link is moved as a link, and never what it leads to. From another disk the file is copied; then a newer one can be
    lost that is written in the instant between the last look and its removal.

    Raises:
        UploadRefused: the file lies on another disk and has several names, so that it may be somebody else's.
        PermissionError: the folder may not be changed.
    """
    return _folders(lake).take_out(path, target)


def opened_file(lake: Lake, path: str) -> AbstractContextManager[BinaryIO]:
    """Open a dropped file for reading.

    Raises:
        FileNotFoundError: no file is there, or a link.
    """
    return _folders(lake).opened(path)


def write_notice(lake: Lake, path: str, value: dict[str, Any]) -> None:
    """Tell the sender of the file at `path`, beside it, why it was refused. Where that is not possible, nobody is told.

    The reason is kept in the tenant's part of the lake too, so this one may be missing.
    """
    _folders(lake).write_notice(path, value)


def remove_notice(lake: Lake, path: str) -> None:
    """Remove what `write_notice` left beside an earlier file of this name."""
    _folders(lake).remove_notice(path)


def _folders(lake: Lake) -> LandingFolders:
    root = local_path(lake.landing_root)
    return LandingInObjectStore(lake.landing_root) if root is None else LandingOnDisk(root)

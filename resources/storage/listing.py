"""What lies in a folder of the lake, and how to tell that a file has changed."""

from __future__ import annotations

from collections.abc import Iterator

from upath import UPath

from resources.storage.file_store import StoredFile
from resources.storage.lake import store_of


def list_files(folder: UPath) -> Iterator[StoredFile]:
    """Every file in `folder` and below, in no order; none when there is no such folder.

    Costs one request per thousand files in an object store. A file that goes away while it is listed is left out.
    `folder` is one that only we write to; for the folders of shops there is `list_landing`.
    """
    return store_of(folder).list_files(folder)


def stored_file(path: UPath) -> StoredFile | None:
    """The file as a listing of its folder would show it now, or None when there is none."""
    return store_of(path).stored_file(path)


def remove_folder(folder: UPath) -> None:
    """Remove a folder with everything in it; one that is not there is no error.

    Raises:
        OSError: something is still there.
    """
    store_of(folder).remove_folder(folder)

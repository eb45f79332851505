"""Landing folders in an object store, which has no links, no renames and no folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

from upath import UPath

from resources.landing.names import notice_name
from resources.storage.file_store import StoredFile
from resources.storage.lake import move_file, write_json
from resources.storage.listing import list_files


class LandingInObjectStore:
    """The landing folders below the prefix `root`."""

    def __init__(self, root: UPath) -> None:
        self._root = root

    def list(self, tenant: str | None) -> Iterator[StoredFile]:
        """Yield the files of all tenants or of one; see `list_landing`."""
        for file in list_files(self._root if tenant is None else self._root / tenant):
            yield file if tenant is None else replace(file, name=f"{tenant}/{file.name}")

    def links(self) -> tuple[str, ...]:
        """Return nothing: there are no links."""
        return ()

    def take_out(self, path: str, target: UPath) -> bool:
        """Copy a file to `target` and remove it. Raises FileNotFoundError when it is not there any more."""
        move_file(self._root / path, target)
        return True

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        """Open a file for reading. Raises FileNotFoundError when there is none."""
        with (self._root / path).open("rb") as handle:
            yield handle

    def write_notice(self, path: str, value: dict[str, Any]) -> None:
        """Write the note beside a file."""
        write_json(self._notice(path), value)

    def remove_notice(self, path: str) -> None:
        """Remove the note beside a file."""
        self._notice(path).unlink(missing_ok=True)

    def _notice(self, path: str) -> UPath:
        folder, _, name = path.rpartition("/")
        return self._root / folder / notice_name(name)

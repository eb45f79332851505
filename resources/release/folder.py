"""File work below the release store: local or not, one writer at a time, durable files, checksums."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from pathlib import Path

from upath import UPath

from resources.release.manifest import ReleaseFile
from resources.storage.file_lock import file_lock


def locked(folder: Path) -> AbstractContextManager[None]:
    """Let one process or thread of this machine at a time change `folder`; the lock dies with its holder."""
    return file_lock(folder / ".lock")


def describe(path: Path | UPath) -> ReleaseFile:
    """Return a file's name, size and sha256.

    Raises:
        FileNotFoundError: there is no such file.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
            size += len(block)
    return ReleaseFile(name=path.name, bytes=size, sha256=digest.hexdigest())

"""File work below the release store: local or not, one writer at a time, durable files, checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upath import UPath

from resources.release.manifest import ReleaseFile


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process or thread of this machine at a time change `folder`; the lock dies with its holder."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


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

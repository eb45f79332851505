"""Checksums once per machine: a mark says which bytes of a release were compared with its manifest.

Reading every byte of a release is most of what loading it costs, and every worker would do it again. A mark holds the
size, the time and the inode of each file next to the checksum that it had; whatever touches a file changes one of them.
What changes bytes below the file system is found a day later, by `recsaas doctor`, or when the release is promoted.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from resources.release.folder import locked
from resources.release.manifest import ReleaseManifest
from resources.release.store import verify_files

_BELIEVED_SECONDS = 24 * 3600
_MARKS_KEPT = 10


def verify_once(folder: Path, manifest: ReleaseManifest, marks: Path | None) -> None:
    """Compare every file of the release in `folder` with its manifest, unless a process of this machine has done so.

    `marks` is a folder of this machine, one per tenant; without it every byte is read. Processes that load one release
    at the same time take turns, so that one of them reads it.

    Raises:
        CorruptRelease: names the file that is missing or changed.
    """
    if marks is None:
        verify_files(folder, manifest)
        return
    with ExitStack() as stack:
        with suppress(OSError):  # a disk that is full or cannot be written costs the mark, not the release
            stack.enter_context(locked(marks))
        mark = marks / f"{manifest.version}.json"
        state = _state(folder, manifest)
        if state is not None and _read(mark) == state:
            return
        verify_files(folder, manifest)
        if state is not None:
            with suppress(OSError):
                _write(mark, state)


def _state(folder: Path, manifest: ReleaseManifest) -> dict[str, Any] | None:
    """What tells a file from a changed one; `None` when one is missing, which the comparison will name."""
    try:
        stats = {file.name: (file.sha256, os.stat(folder / file.name)) for file in manifest.files}
    except OSError:
        return None
    return {name: [sha256, stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, (sha256, stat) in stats.items()}


def _read(mark: Path) -> Any:
    try:
        if time.time() - mark.stat().st_mtime > _BELIEVED_SECONDS:
            return None
        return json.loads(mark.read_bytes())
    except (OSError, ValueError):
        return None


def _write(mark: Path, state: dict[str, Any]) -> None:
    # Not synced: after a power cut half a mark is no mark.
    beside = mark.with_name(f".{mark.name}.{os.getpid()}")
    beside.write_text(json.dumps(state))
    beside.replace(mark)
    newest_first = sorted(mark.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in newest_first[_MARKS_KEPT:]:
        old.unlink(missing_ok=True)

"""Counts that are not in the control DB yet, in a file of their worker, so that they outlive it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from time import time
from typing import Any

from resources.base.errors import CorruptArtifact
from resources.storage.file_lock import try_lock
from resources.usage.adding import Batch
from resources.usage.amounts import AMOUNTS, Amounts, Counted

_SUFFIX, _LOCK = ".json", ".lock"
_OLD_LOCK = timedelta(hours=1)


class Journal:
    """The batches of one worker that wait to be written. The file is there while any wait.

    Its lock is held while the worker lives, whatever ends it, so that another one can tell whose batches are left over.
    It is not synced to the disk: what ends a process does not lose it, what ends the machine may.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{worker}{_SUFFIX}"
        self._new = folder / f"{worker}.new"
        self._lock_file = folder / f"{worker}{_LOCK}"
        self._lock = open(self._lock_file, "ab")  # noqa: SIM115  held until `close`
        if not try_lock(self._lock):
            raise RuntimeError(f"the name {worker} is another worker's")

    def write(self, batches: Sequence[Batch]) -> None:
        """Let the file hold these batches, and no others: whole, or as it was before.

        Raises:
            OSError: the disk does not take it.
        """
        if not batches:
            self._file.unlink(missing_ok=True)
            return
        self._new.write_text(json.dumps([_fields(batch) for batch in batches], separators=(",", ":")))
        os.replace(self._new, self._file)

    def set_aside(self, batch: Batch) -> Path:
        """Put a batch that the control DB refuses where nobody but a person takes it up; return the file.

        Raises:
            OSError: the disk does not take it.
        """
        return _set_aside(self._file, batch)

    def close(self) -> None:
        """Let go; what the file still holds is for the next worker."""
        self._new.unlink(missing_ok=True)
        if not self._file.exists():
            self._lock_file.unlink(missing_ok=True)
        self._lock.close()


class LeftOver:
    """The journal of a worker that is gone. Ours until it is closed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock_file = file.with_suffix(_LOCK)
        self._lock = open(self._lock_file, "ab")  # noqa: SIM115
        self.ours = try_lock(self._lock) and file.exists()

    def batches(self) -> tuple[Batch, ...]:
        """Read them, in their order.

        Raises:
            CorruptArtifact: the file is not one of ours.
        """
        try:
            return tuple(_batch(fields) for fields in json.loads(self.file.read_bytes()))
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptArtifact(
                f"{self.file} is not a journal of counts. Move it away; what it held is not counted."
            ) from error

    def set_aside(self, batch: Batch) -> Path:
        """As `Journal.set_aside`."""
        return _set_aside(self.file, batch)

    def done(self) -> None:
        """Remove the file: its batches are written."""
        self.file.unlink(missing_ok=True)
        self._lock_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go."""
        self._lock.close()


def left_over(folder: Path) -> list[Path]:
    """Journals in the folder, their worker alive or not; locks that nobody will use any more are removed."""
    for lock in folder.glob(f"*{_LOCK}"):
        if not lock.with_suffix(_SUFFIX).exists() and _old(lock):
            with open(lock, "ab") as handle:
                if try_lock(handle):
                    lock.unlink(missing_ok=True)
    return sorted(folder.glob(f"*{_SUFFIX}"))


def _set_aside(journal: Path, batch: Batch) -> Path:
    file = journal.with_suffix(f".{batch.number}.refused")
    file.write_text(json.dumps(_fields(batch)))
    return file


def _old(lock: Path) -> bool:
    try:  # a worker makes the file a moment before it locks it
        return time() - lock.stat().st_mtime > _OLD_LOCK.total_seconds()
    except FileNotFoundError:
        return False


def _fields(batch: Batch) -> dict[str, Any]:
    return {
        "worker": batch.worker,
        "number": batch.number,
        "entries": [
            [
                *(key.tenant, key.day.isoformat(), key.key_id, key.operation, key.status),
                [getattr(amounts, name) for name in AMOUNTS],
            ]
            for key, amounts in batch.entries.items()
        ],
    }


def _batch(fields: dict[str, Any]) -> Batch:
    entries = {
        Counted(tenant, date.fromisoformat(day), key_id, operation, status): Amounts(*amounts)
        for tenant, day, key_id, operation, status, amounts in fields["entries"]
    }
    return Batch(fields["worker"], fields["number"], entries)

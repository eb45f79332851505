"""The parts of an installation that others can reach: readable files, and ports without authentication."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from sqlalchemy import make_url

from recsaas_assets.platform.processes import LOCK
from resources.base.settings import Settings
from resources.storage.file_lock import try_lock

_BY_OTHERS, _BY_ALL = 0o077, 0o007


@dataclass(frozen=True, slots=True, order=True)
class Door:
    """An address on which a process of the platform listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def readable_by_others(settings: Settings) -> list[Path]:
    """Folders and files of the installation that other users of this machine can get into.

    The home belongs to one user. A lake or a database elsewhere may be shared with a group, and not with all.
    """
    elsewhere = [_file_of(url) for url in (settings.database_url, settings.decisions_url)]
    if "://" not in settings.lake_url:
        elsewhere.append(Path(settings.lake_url))
    outside = [path for path in elsewhere if path is not None and settings.home not in path.parents]
    found = [settings.home] if _mode(settings.home) & _BY_OTHERS else []
    return found + [path for path in outside if _mode(path) & _BY_ALL and _reachable(path.parent)]


def open_doors(settings: Settings) -> list[Door]:
    """Ports on which the processes of a running `recsaas up` listen; none when it does not run."""
    doors: set[Door] = set()
    for process in _processes(settings.home / LOCK):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            listening = (c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)
            doors |= {Door(c.laddr.ip, c.laddr.port) for c in listening}
    return sorted(doors)


def _processes(lock: Path) -> list[psutil.Process]:
    """The process that holds the lock and all that it has started."""
    if not lock.exists():
        return []
    with open(lock) as handle:
        if try_lock(handle, shared=True):
            return []  # nobody holds it: the number in it is of a process that has ended
        first = psutil.Process(int(handle.read()))
    return [first, *first.children(recursive=True)]


def _file_of(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def _reachable(folder: Path) -> bool:
    """Others may enter every folder on the way."""
    return all(os.stat(each).st_mode & 0o001 for each in (folder, *folder.parents) if each.exists())

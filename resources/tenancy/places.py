"""Where something of a tenant may lie: each place is counted, emptied, and counted again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from upath import UPath

from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.decisions.store import DecisionStore
from resources.storage.lake import Lake, local_path
from resources.storage.listing import list_files, remove_folder
from resources.tenancy.database_rows import (
    count_owned_rows,
    count_people,
    erasable_tables,
    remove_owned_rows,
    remove_people,
)


class ErasurePlace(Protocol):
    """One place. Emptying it again, also after an attempt that was killed, is no error."""

    @property
    def name(self) -> str:
        """What it is called in the certificate."""

    def count(self, tenant: TenantId) -> int:
        """How many files, rows or runs of the tenant lie there."""

    def empty(self, tenant: TenantId) -> None:
        """Remove all of them."""


@dataclass(frozen=True, slots=True)
class LakeFolder:
    """A folder of the lake in which everything is the tenant's."""

    name: str
    lake: Lake
    dropped: bool = False
    """The landing folder, to which the shop writes itself; else the tenant's own part of the lake."""

    def _folder(self, tenant: TenantId) -> UPath:
        return self.lake.landing_root / tenant.value if self.dropped else self.lake.tenant(tenant).root

    def count(self, tenant: TenantId) -> int:
        """Count the files; in a folder of this machine also what is no file."""
        folder = self._folder(tenant)
        local = local_path(folder)
        return sum(1 for _ in list_files(folder)) if local is None else _entries(local)

    def empty(self, tenant: TenantId) -> None:
        """Remove the folder; a link in its place goes, and not what it leads to."""
        folder = self._folder(tenant)
        local = local_path(folder)
        if local is None:
            remove_folder(folder)
        else:
            _remove(local)


@dataclass(frozen=True, slots=True)
class ScratchFolder:
    """The tenant's folder of this machine, for work in progress and copies."""

    lake: Lake
    name: str = "work in progress and copies on this machine"

    def count(self, tenant: TenantId) -> int:
        """Count the files."""
        return _entries(self.lake.tenant(tenant).scratch)

    def empty(self, tenant: TenantId) -> None:
        """Remove the folder."""
        _remove(self.lake.tenant(tenant).scratch)


@dataclass(frozen=True, slots=True)
class DatabaseRows:
    """The rows of the control DB, but for the tenant's id, its audit log, and the job that erases it."""

    db: ControlDb
    but_job: str
    name: str = "rows of the control DB"

    def count(self, tenant: TenantId) -> int:
        """Count the rows of all tables."""
        return sum(count_owned_rows(self.db, table, tenant, but_job=self.but_job) for table in erasable_tables())

    def empty(self, tenant: TenantId) -> None:
        """Remove them, table by table."""
        for table in erasable_tables():
            remove_owned_rows(self.db, table, tenant, but_job=self.but_job)


@dataclass(frozen=True, slots=True)
class People:
    """Memberships, and the people who belong nowhere else."""

    db: ControlDb
    name: str = "members who belong to no other tenant, and memberships"

    def count(self, tenant: TenantId) -> int:
        """Count both."""
        return sum(count_people(self.db, tenant))

    def empty(self, tenant: TenantId) -> None:
        """Remove both, in one transaction."""
        remove_people(self.db, tenant)


@dataclass(frozen=True, slots=True)
class DecisionRows:
    """The decision log: what was shown to whom."""

    decisions: DecisionStore
    name: str = "decision log"

    def count(self, tenant: TenantId) -> int:
        """Count the answers."""
        return self.decisions.count_of_tenant(tenant)

    def empty(self, tenant: TenantId) -> None:
        """Remove them."""
        self.decisions.erase_tenant(tenant)


def places_of(lake: Lake, db: ControlDb, decisions: DecisionStore, *, but_job: str) -> Sequence[ErasurePlace]:
    """Every place that both programs know. People go before the other rows: those say who belongs where."""
    return (
        LakeFolder("dropped files (landing folder)", lake, dropped=True),
        LakeFolder("lake: uploads, events, tables, models, releases, exports", lake),
        ScratchFolder(lake),
        DecisionRows(decisions),
        People(db),
        DatabaseRows(db, but_job),
    )


def _entries(folder: Path) -> int:
    """Count what is no folder, without following links; a folder that is there and empty counts as nothing."""
    if folder.is_symlink() or folder.is_file():
        return 1
    return sum(
        len(files) + sum(os.path.islink(os.path.join(where, name)) for name in folders)
        for where, folders, files in os.walk(folder)
    )


def _remove(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)

"""A fresh installation for one benchmark, and shops to fill it with; nothing of it is left afterwards."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from recsaas_assets.sample.shop import SampleShop
from resources.base.errors import NotReady
from resources.base.settings import Settings, load_settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tenants import create_tenant, get_tenant
from resources.processes.supervisor import end_process, python, start_process
from resources.storage.lake import Lake, TenantLake
from resources.stores.tenant_store import TenantStore
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.store import store_upload

LAST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""The end of every invented history, so that the same seed makes the same files on any day."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """An installation in a folder of its own, whatever the environment names as lake and control DB."""

    settings: Settings
    lake: Lake
    db: ControlDb

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which another process works on this installation."""
        return {
            "RECSAAS_HOME": str(self.settings.home),
            "RECSAAS_LAKE": self.settings.lake_url,
            "RECSAAS_DATABASE": self.settings.database_url,
        }

    def add_tenant(self, tenant: TenantId) -> None:
        """Create a tenant with the default settings."""
        create_tenant(self.db, tenant, name=tenant.value, now=datetime.now(UTC))

    def upload(self, tenant: TenantId, kind: Kind, frame: pl.DataFrame) -> None:
        """Store a frame as one CSV upload."""
        self._store(tenant, kind, frame.write_csv().encode(), filename=f"{kind.value}.csv")

    def upload_file(self, tenant: TenantId, kind: Kind, file: Path) -> None:
        """Store one file as an upload."""
        self._store(tenant, kind, file, filename=file.name)

    def _store(self, tenant: TenantId, kind: Kind, content: Path | bytes, *, filename: str) -> None:
        upload = IncomingUpload(kind, content, filename=filename, origin="cli", received_at=datetime.now(UTC))
        policy = UploadPolicy(get_tenant(self.db, tenant).settings, max_bytes=self.settings.max_upload_bytes)
        store_upload(TenantStore(self.lake, self.db, tenant), upload, policy)

    def upload_shop(self, tenant: TenantId, shop: SampleShop) -> None:
        """Store the three files of a shop."""
        for kind, frame in ((Kind.ITEMS, shop.items), (Kind.USERS, shop.users), (Kind.INTERACTIONS, shop.interactions)):
            self.upload(tenant, kind, frame)

    def tenant(self, tenant: TenantId) -> TenantLake:
        """The tenant's part of the lake."""
        return self.lake.tenant(tenant)

    def recsaas(self, *arguments: str) -> Any:
        """Run a command in a process of its own and return the JSON that it prints, also when it exits with 1.

        Raises:
            NotReady: it printed no JSON; the message shows the end of what it said.
        """
        log = self.settings.home / "command.log"
        command = python("-c", "from recsaas_assets.cli import main; main()", *arguments, "--json")
        with open(log, "wb") as errors:
            process = start_process(command, self.environment, out=subprocess.PIPE, errors=errors)
        try:
            output, _ = process.communicate()
        finally:
            end_process(process, seconds=0.1 if process.returncode is None else 0)
        try:
            return json.loads(output)
        except json.JSONDecodeError as error:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise NotReady(f"`recsaas {' '.join(arguments)}` ended with code {process.returncode}.\n{end}") from error


@contextmanager
def workplace() -> Iterator[Workplace]:
    """A fresh installation in a temporary folder, removed when the block ends."""
    with tempfile.TemporaryDirectory(prefix="recsaas-bench-") as folder:
        home = Path(folder)
        own = {"lake": str(home / "lake"), "database": f"sqlite:///{home / 'control.db'}"}
        settings = load_settings(home).model_copy(update={**own, "service_port": 0, "dagster_port": 0})
        db = open_control_db(settings.database_url)
        try:
            yield Workplace(settings, Lake.open(settings.lake_url, scratch=settings.scratch), db)
        finally:
            db.close()

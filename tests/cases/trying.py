"""Trying a file as a shop would: a tenant of its own, checked only, stored, sent again, the rejected rows sent back."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from resources.base.errors import RecsaasError
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.control_db.tenants import create_tenant
from resources.storage.lake import Lake
from resources.stores.tenant_store import TenantStore
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport
from resources.uploads.store import rejected_csv, scan_accepted, store_upload

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
_MAX_BYTES = 10_000_000
_ONLY_WHEN_STORED = {"validate_only", "storage_location", "rejected_url", "preview"}


@dataclass(frozen=True)
class Tried:
    """What became of a file: the report and the stored rows, or the message of the refusal."""

    answer: UploadReport | str
    accepted: pl.DataFrame | None
    rejected: bytes = b""


class Trial:
    """A tenant with nothing stored, in a folder of its own."""

    def __init__(self, folder: Path, migrated: Path, changes: Mapping[str, Any]) -> None:
        folder.mkdir()
        shutil.copy(migrated, folder / "control.db")
        self._db = open_control_db(f"sqlite:///{folder}/control.db", migrate=False)
        tenant = TenantId("shop")
        create_tenant(self._db, tenant, name="Shop", now=NOW)
        self._store = TenantStore(Lake.open(str(folder / "lake"), scratch=folder / "scratch"), self._db, tenant)
        self._settings = settings_of(changes)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def put(self, kind: str, content: Path | bytes, name: str, *, validate_only: bool = False) -> UploadReport:
        """Send a file.

        Raises:
            RecsaasError: it is refused.
        """
        upload = IncomingUpload(
            Kind(kind), content, filename=name, origin="cli", received_at=NOW, validate_only=validate_only
        )
        return store_upload(self._store, upload, UploadPolicy(self._settings, _MAX_BYTES))

    def tried(self, kind: str, content: Path | bytes, name: str) -> Tried:
        """Check a file, store it, send it again, and its rejected rows alone; each answer must fit the others."""
        try:
            checked = self.put(kind, content, name, validate_only=True)
        except RecsaasError as refusal:
            self._refused_again(kind, content, name, refusal)
            return Tried(refusal.message, None)
        report = self.put(kind, content, name)
        assert _comparable(report) == _comparable(checked), "what is only checked is answered otherwise"
        assert report.rows_total == report.rows_accepted + report.rows_rejected + report.rows_duplicate
        again = self.put(kind, content, name)
        assert again == report.model_copy(update={"already_stored": True}), "the same file again is not the same upload"
        accepted = scan_accepted(self._store.lake, self._store.tenant, report.upload_id).collect()
        assert accepted.height == report.rows_accepted
        rejected = b"".join(rejected_csv(self._store.lake, self._store.tenant, report.upload_id))
        if report.rows_rejected:
            self._sent_back(kind, rejected, report)
        return Tried(report, accepted, rejected)

    def _refused_again(self, kind: str, content: Path | bytes, name: str, refusal: RecsaasError) -> None:
        try:
            self.put(kind, content, name)
        except RecsaasError as again:
            assert again.message == refusal.message, "a refusal says something else the second time"
        else:
            raise AssertionError("only checked the file is refused, and it is stored all the same")

    def _sent_back(self, kind: str, rejected: bytes, report: UploadReport) -> None:
        """The rejected rows are a file that can be sent again as it is, and be rejected again for the same reasons."""
        back = self.put(kind, rejected, "rejected.csv", validate_only=True)
        rules = {rule for rule in report.errors_by_rule if not rule.startswith("row.") and not _of_two_rows(rule)}
        assert back.rows_total == report.rows_rejected, f"{report.rows_rejected} rejected rows came back as {back}"
        assert rules <= set(back.errors_by_rule), f"{report.errors_by_rule} became {back.errors_by_rule}"


def settings_of(changes: Mapping[str, Any]) -> TenantSettings:
    """The settings of a tenant that set these, by dotted name."""
    fields: dict[str, Any] = {}
    for name, value in changes.items():
        *path, last = name.split(".")
        place = fields
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return TenantSettings.model_validate(fields)


def _of_two_rows(rule: str) -> bool:
    """Whether a rule sets a row against another one, which may have been accepted."""
    return rule.endswith((".repeated", ".conflict"))


def _comparable(report: UploadReport) -> dict[str, Any]:
    return report.model_dump(exclude=_ONLY_WHEN_STORED)

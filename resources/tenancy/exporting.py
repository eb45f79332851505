"""Writing the archive of a tenant: rows as one moment of the control DB has them, files one after the other.

Memory holds one stretch of rows, whatever the tenant's size.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from resources.base.code_version import code_version
from resources.base.errors import Conflict, CorruptArtifact
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, revision_of
from resources.control_db.tables.base import Base
from resources.control_db.tables.uploads import UploadRow
from resources.control_db.tenants import row_of_tenant
from resources.jobs.kinds.erasures import users_being_erased
from resources.release.pointer import POINTER
from resources.release.store import ReleaseStore, ReleaseSummary
from resources.storage.disk import written_whole
from resources.storage.lake import store_of
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore
from resources.tenancy.archive import (
    FORMAT_VERSION,
    HEAD,
    LEFT_OUT,
    MANIFEST,
    TABLES,
    TENANT,
    ArchivedFile,
    ArchivedTenant,
    ArchiveHead,
    ArchiveManifest,
    ArchiveProgress,
    NumberStretch,
    rows_name,
)

ROWS_IN_MEMBER = 20_000
_ROWS_AT_ONCE = 2_000
_LEVEL = 1
"""Of compression: most bytes of an archive are Parquet, which is compressed already."""


def export_tenant(store: TenantStore, file: Path, *, now: datetime, told: ArchiveProgress) -> ArchiveManifest:
    """Write the archive of the tenant to `file`, which appears whole or not at all; `.tar` is not compressed.

    The caller holds the tenant's run lock, or a run or an erasure could take files away.

    Raises:
        TenantNotFound: no tenant has this id.
        Conflict: a user of it is still being erased: the archive would hold them.
        CorruptArtifact: a file that belongs in it is missing or damaged; names it.
    """
    pending = users_being_erased(store.db, store.tenant)
    if pending:
        raise Conflict(
            f"Users of tenant {store.tenant} are still being erased, and the archive would hold them. Try again when "
            "their erasures are done."
        )
    packed: Literal["w", "w:gz"] = "w" if file.suffix == ".tar" else "w:gz"
    options: dict[str, Any] = {} if packed == "w" else {"compresslevel": _LEVEL}
    with written_whole(file) as beside, tarfile.open(beside, packed, format=tarfile.PAX_FORMAT, **options) as tar:
        return _Writer(store, tar, now, told).write()


@dataclass
class _Writer:
    """One archive while it is written."""

    store: TenantStore
    tar: tarfile.TarFile
    now: datetime
    told: ArchiveProgress
    members: list[ArchivedFile] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, NumberStretch] = field(default_factory=dict)

    def write(self) -> ArchiveManifest:
        """Write everything, the manifest last."""
        tenant, db = self.store.tenant, self.store.db
        releases = self._releases()
        self._model(HEAD, _head(db, tenant, self.now))
        with db.read() as session:
            uploads = self._rows(session, tenant)
        self._count_on(releases)
        folders = [f"uploads/{each}" for each in uploads] + [f"releases/{each.version}" for each in releases]
        for number, name in enumerate((*folders, "search")):
            self.told(name, 0.2 + 0.8 * number / (len(folders) + 1))
            self._folder(name, whole=name != "search")
        live = ReleaseStore(self.store.folder).current()
        if live is not None:
            self._file(f"releases/{POINTER}")
        manifest = ArchiveManifest(
            format_version=FORMAT_VERSION,
            tenant=tenant.value,
            rows={table.__tablename__: self.rows[table.__tablename__] for table in TABLES},
            numbers=self.numbers,
            uploads=len(uploads),
            releases=len(releases),
            live_release=live,
            left_out=LEFT_OUT,
            members=tuple(self.members),
        )
        self._add(MANIFEST, io.BytesIO(data := _json(manifest)), len(data))
        return manifest

    def _releases(self) -> list[ReleaseSummary]:
        found = ReleaseStore(self.store.folder).list()
        for each in found:
            if each.problem is not None:
                raise CorruptArtifact(f"{each.problem} The archive was not written.")
        return list(found)

    def _rows(self, session: Session, tenant: TenantId) -> list[str]:
        """Write the tenant's rows, and return the ids of its uploads."""
        row = row_of_tenant(session, tenant)
        archived = ArchivedTenant(
            name=row.name,
            settings=row.settings,
            plan=row.plan,
            currency=row.currency,
            timezone=row.timezone,
            created_at=row.created_at,
        )
        self._model(TENANT, archived)
        for table in TABLES:
            self.told(f"rows of {table.__tablename__}", 0.0)
            self._table(session, table, tenant)
        statement = select(UploadRow.upload_id).where(UploadRow.tenant_id == tenant.value).order_by(UploadRow.sequence)
        return list(session.scalars(statement))

    def _table(self, session: Session, table: type[Base], tenant: TenantId) -> None:
        lines: list[bytes] = []
        number = 0
        for row in _pages(session, table, tenant):
            lines.append(json.dumps(row, ensure_ascii=False, default=_as_text).encode())
            self.rows[table.__tablename__] += 1
            if "seq" in row and table.__tablename__ in ("events", "item_changes"):
                known = self.numbers.get(table.__tablename__, NumberStretch(first=row["seq"]))
                self.numbers[table.__tablename__] = NumberStretch(first=known.first, last=row["seq"])
            if len(lines) == ROWS_IN_MEMBER:
                self._lines(rows_name(table, number), lines)
                lines, number = [], number + 1
                self.told(f"{self.rows[table.__tablename__]:,} rows of {table.__tablename__}", 0.1)
        if lines:
            self._lines(rows_name(table, number), lines)

    def _count_on(self, releases: list[ReleaseSummary]) -> None:
        """A release may have seen a later number than any row that is left: its user was erased."""
        for table, name in (("events", "event_watermark"), ("item_changes", "item_watermark")):
            seen = [getattr(each.manifest, name) for each in releases if each.manifest is not None]
            known = self.numbers.get(table, NumberStretch())
            last = max((known.last, *seen))
            self.numbers[table] = NumberStretch(first=known.first or last, last=last)

    def _lines(self, name: str, lines: list[bytes]) -> None:
        data = b"\n".join(lines) + b"\n"
        self._add(name, io.BytesIO(data), len(data))

    def _model(self, name: str, model: BaseModel) -> None:
        data = _json(model)
        self._add(name, io.BytesIO(data), len(data))

    def _folder(self, name: str, *, whole: bool) -> None:
        files = sorted(list_files(self.store.folder.root / name), key=lambda file: file.name)
        visible = [file for file in files if not any(part.startswith(".") for part in file.name.split("/"))]
        if whole and not visible:
            raise CorruptArtifact(f"{name} of tenant {self.store.tenant} has no files. The archive was not written.")
        for file in visible:
            self._file(f"{name}/{file.name}")

    def _file(self, name: str) -> None:
        path = self.store.folder.root / name
        try:
            with store_of(path).local_file(path) as local, open(local, "rb") as handle:
                self._add(name, handle, local.stat().st_size)
        except FileNotFoundError as error:
            raise CorruptArtifact(f"{name} of tenant {self.store.tenant} is missing. Try again.") from error

    def _add(self, name: str, content: IO[bytes], size: int) -> None:
        self.told(name, -1.0)
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = size, int(self.now.timestamp()), 0o600
        reading = _Hashed(content)
        self.tar.addfile(info, reading)
        self.tar.members.clear()  # type: ignore[attr-defined]  # it would keep every one of them
        self.members.append(ArchivedFile(name=name, bytes=size, sha256=reading.digest.hexdigest()))


class _Hashed:
    """A stream that is hashed while it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        data = self._stream.read(size)
        self.digest.update(data)
        return data


def _head(db: ControlDb, tenant: TenantId, now: datetime) -> ArchiveHead:
    return ArchiveHead(
        format_version=FORMAT_VERSION,
        tenant=tenant.value,
        made_at=now,
        code_version=code_version(),
        revision=revision_of(db.engine)[0] or "",
    )


def _pages(session: Session, table: type[Base], tenant: TenantId) -> Iterator[dict[str, Any]]:
    """The tenant's rows in the order of their key, without holding all of them."""
    columns = table.__table__.columns
    key = [column for column in table.__table__.primary_key if column.name != "tenant_id"]
    statement = select(*columns).where(columns["tenant_id"] == tenant.value)
    if key:
        statement = statement.order_by(*key).limit(_ROWS_AT_ONCE)
    after: tuple[Any, ...] | None = None
    while True:
        page = statement if after is None else statement.where(tuple_(*key) > tuple_(*after))
        rows = session.execute(page).mappings().all()
        for row in rows:
            yield {name: value for name, value in row.items() if name != "tenant_id"}
        if not key or len(rows) < _ROWS_AT_ONCE:
            return
        after = tuple(rows[-1][column.name] for column in key)


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=1).encode() + b"\n"


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a column holds a {type(value).__name__}")

"""Making a tenant from an archive. Nobody sees anything of it before the last step, which is one transaction; an import
that was killed is begun anew by the next one of the same archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from resources.access.actor import Actor
from resources.audit.entries import Change, record
from resources.base.errors import InvalidInput, NotFound
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, is_known_revision
from resources.control_db.tables.base import Base, UtcDateTime
from resources.control_db.tables.catalogue import ItemChangeRow, ItemIntakeRow, RuleRow
from resources.control_db.tables.events import EventRow
from resources.control_db.tables.jobs import RunRow
from resources.control_db.tables.tenants import TenantRow
from resources.control_db.tables.uploads import UploadRow
from resources.control_db.tenants import Tenant, get_tenant, tenant_fields, tenant_name, tenant_record
from resources.databases.opening import is_postgresql
from resources.plans.plans import find_plan
from resources.release.contents import MANIFEST as RELEASE_MANIFEST
from resources.release.manifest import ReleaseManifest
from resources.release.pointer import POINTER, Pointer, write_pointer
from resources.storage.disk import work_folder
from resources.storage.lake import Lake, put_file, write_bytes
from resources.stores.locks import purpose_lock
from resources.tenancy.archive import HEAD, MANIFEST, TENANT, ArchiveProgress, NumberStretch, table_of
from resources.tenancy.database_rows import erasable_tables, remove_owned_rows
from resources.tenancy.naming import check_new_id, taken
from resources.tenancy.places import LakeFolder, ScratchFolder
from resources.tenancy.provisioning import make_landing_folders
from resources.tenancy.reading import VerifiedArchive, members_of, opened_archive, rows_in, verify_archive

_ROWS_AT_ONCE = 2_000
_BLOCK = 1 << 20
_COUNTING: Mapping[str, type[Base]] = {"events": EventRow, "item_changes": ItemChangeRow}


def import_tenant(
    lake: Lake, db: ControlDb, file: Path, *, as_id: TenantId | None, by: Actor, now: datetime, told: ArchiveProgress
) -> Tenant:
    """Make a tenant from an archive, of the archive's id or another; it is active, and has no key and no members.

    Every byte is compared with the archive's hashes before anything is written. An archive that was imported as this
    tenant already changes nothing.

    Raises:
        Conflict: the id is, or was, somebody else's; names free ids.
        InvalidInput: the archive is not whole or not as it was written, is of a newer version, or does not fit.
        TooLarge: a member is larger than any may be.
    """
    told("checking every hash", 0.0)
    archive = verify_archive(file)
    if not is_known_revision(archive.head.revision):
        raise InvalidInput(
            f"The archive was made by a newer recsaas ({archive.head.code_version}). Install that version, and import "
            "it there. Nothing was imported."
        )
    tenant = as_id or TenantId.parse(archive.head.tenant)
    check_new_id(tenant)
    with purpose_lock(db, lake, tenant, "import"):
        known = _earlier(db, tenant, archive)
        if known is not None:
            return known
        _begin(db, tenant, archive)
        _clear(lake, db, tenant)
        _Import(lake, db, tenant, archive, told).run()
        make_landing_folders(lake, tenant)
        return _finish(db, tenant, archive, by, now)


def _mark(archive: VerifiedArchive) -> str:
    return f"import:{archive.sha256}"


def _earlier(db: ControlDb, tenant: TenantId, archive: VerifiedArchive) -> Tenant | None:
    """The tenant that this archive has become already; None where the id is free, or an import of it has died."""
    with db.read() as session:
        row = session.get(TenantRow, tenant.value)
        if row is None or row.status == "importing":
            return None
        if row.created_by != _mark(archive):
            raise taken(session, tenant)
    return get_tenant(db, tenant)


def _clear(lake: Lake, db: ControlDb, tenant: TenantId) -> None:
    """Remove what an import that died has left."""
    for table in erasable_tables():
        remove_owned_rows(db, table, tenant, but_job="")
    for place in (LakeFolder("lake", lake), ScratchFolder(lake)):
        place.empty(tenant)


def _begin(db: ControlDb, tenant: TenantId, archive: VerifiedArchive) -> None:
    """Take the id, before anything is removed: nobody else gets it from here on.

    Raises:
        Conflict: somebody has made a tenant of this id meanwhile.
    """
    try:
        with db.write() as session:
            _take_id(session, tenant, archive)
    except IntegrityError as error:  # they were quicker by less than our look at it
        with db.read() as session:
            raise taken(session, tenant) from error


def _take_id(session: Session, tenant: TenantId, archive: VerifiedArchive) -> None:
    given, row = archive.tenant, session.get(TenantRow, tenant.value, with_for_update=True)
    if row is None:
        row = TenantRow(id=tenant.value, created_at=given.created_at)
    elif row.status != "importing":
        raise taken(session, tenant)
    row.name, row.status, row.settings = tenant_name(given.name), "importing", dict(given.settings)
    row.plan, row.currency, row.timezone = _known_plan(session, given.plan), given.currency, given.timezone
    row.created_by = _mark(archive)
    session.add(row)


def _known_plan(session: Session, plan: str | None) -> str | None:
    """The plan, if this installation has it."""
    with suppress(NotFound):
        return None if plan is None else find_plan(session, plan).id
    return None


def _finish(db: ControlDb, tenant: TenantId, archive: VerifiedArchive, by: Actor, now: datetime) -> Tenant:
    with db.write() as session:
        row = session.get_one(TenantRow, tenant.value, with_for_update=True)
        row.status = "active"
        of = {"archive_sha256": archive.sha256, "of": archive.head.tenant, "made_at": archive.head.made_at.isoformat()}
        change = Change(action="tenant.import", object_kind="tenant", object_id=row.id, after=tenant_fields(row) | of)
        record(session, by, change, tenant=tenant, now=now)
        return tenant_record(row)


@dataclass
class _Import:
    """One import while it goes on."""

    lake: Lake
    db: ControlDb
    tenant: TenantId
    archive: VerifiedArchive
    told: ArchiveProgress
    offsets: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    """Runs and rules whose ids this installation has already, by their ids in the archive."""

    def run(self) -> None:
        """Store every member; the pointer to the live release comes last."""
        self._reserve()
        pointer: bytes | None = None
        done, whole = 0, sum(member.bytes for member in self.archive.manifest.members) or 1
        listed = {member.name: member.sha256 for member in self.archive.manifest.members}
        with opened_archive(self.archive.file) as tar, work_folder(self.lake.scratch / "imports", "import") as work:
            for info, stream in members_of(tar):
                self.told(info.name, done / whole)
                done += info.size
                table = table_of(info.name)
                if info.name in (HEAD, TENANT, MANIFEST):
                    continue
                if table is not None:
                    self._rows(table, rows_in(stream, table, info.name))
                elif info.name == f"releases/{POINTER}":
                    pointer = stream.read()
                elif info.name.startswith("releases/") and info.name.endswith(f"/{RELEASE_MANIFEST}"):
                    self._release(info.name, stream.read())
                else:
                    self._file(info.name, stream, work, listed[info.name])
        if pointer is not None:
            releases = self.lake.tenant(self.tenant).releases
            write_pointer(releases, Pointer.model_validate_json(pointer), None)

    def _reserve(self) -> None:
        for name, table in _COUNTING.items():
            with self.db.write() as session:
                self.offsets[name] = reserve(session, table, self.archive.manifest.numbers.get(name, NumberStretch()))

    def _rows(self, table: type[Base], rows: Iterator[dict[str, Any]]) -> None:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            with self.db.write() as session:
                session.execute(
                    insert(table), [self._row(session, table, row) for row in self._named(session, table, some)]
                )

    def _named(self, session: Session, table: type[Base], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give other ids to runs and rules where an id is one of this installation's already."""
        if table not in (RunRow, RuleRow):
            return rows
        column = RunRow.run_id if table is RunRow else RuleRow.id
        known = set(session.scalars(select(column).where(column.in_([row[column.key] for row in rows]))))
        for row in rows:
            if (old := row[column.key]) in known:
                tail = hashlib.sha256(f"{self.tenant} {old}".encode()).hexdigest()
                self.renamed[old] = row[column.key] = (
                    f"{old[:23]}-{tail[:16]}" if table is RuleRow else f"{old[:40]}-{tail[:16]}"
                )
        return rows

    def _row(self, session: Session, table: type[Base], row: dict[str, Any]) -> dict[str, Any]:
        values = {**row, "tenant_id": self.tenant.value}
        for column in table.__table__.columns:
            if isinstance(column.type, UtcDateTime) and isinstance(values.get(column.name), str):
                values[column.name] = _time(values[column.name])
        if table in (EventRow, ItemChangeRow, ItemIntakeRow):
            name = EventRow.__tablename__ if table is EventRow else ItemChangeRow.__tablename__
            values["seq"] += self.offsets[name]
        if table is UploadRow:
            del values["sequence"]  # the next numbers, in the same order
        for name in ("run_id", "ingested_run", "left_out_run"):
            if table in (UploadRow, ItemIntakeRow) and values.get(name) in self.renamed:
                values[name] = self.renamed[values[name]]
        return values

    def _release(self, name: str, data: bytes) -> None:
        """Let a release name its new tenant, and the numbers that its events and changes of items have here."""
        manifest = ReleaseManifest.from_json(data, name=name)
        events, items = manifest.event_watermark, manifest.item_watermark
        moved = manifest.model_copy(
            update={
                "tenant": self.tenant.value,
                "event_watermark": events + self.offsets["events"] if events else 0,
                "item_watermark": items + self.offsets["item_changes"] if items else 0,
                "dagster_run_id": self.renamed.get(manifest.dagster_run_id, manifest.dagster_run_id),
            }
        )
        write_bytes(self.lake.tenant(self.tenant).root / name, moved.to_json())

    def _file(self, name: str, stream: IO[bytes], work: Path, sha256: str) -> None:
        """Put a file into the lake, if it still is what was verified."""
        beside, digest = work / "member", hashlib.sha256()
        with open(beside, "wb") as writing:
            while block := stream.read(_BLOCK):
                digest.update(block)
                writing.write(block)
        if digest.hexdigest() != sha256:
            raise InvalidInput(f"{name} in the archive was changed while it was imported. Import it again.")
        put_file(beside, self.lake.tenant(self.tenant).root / name)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:60]!r} in the archive is no time.") from error


def reserve(session: Session, table: type[Base], wanted: NumberStretch) -> int:
    """Reserve numbers for rows that have those from `wanted.first` to `wanted.last`; return what is added to each.

    It is 0 where these numbers are all still to come. Later rows of anybody have later numbers. The transaction is to
    end soon: others wait for it with their rows.
    """
    if not wanted.last:
        return 0
    name = table.__tablename__
    if is_postgresql(session.get_bind()):
        # Whoever has drawn a number has written its row before this lock is given, and nobody draws one meanwhile.
        session.execute(text(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"))
        sequence = session.scalar(text("SELECT pg_get_serial_sequence(:table, 'seq')"), {"table": name})
        used = session.scalar(text("SELECT nextval(CAST(:sequence AS regclass))"), {"sequence": sequence}) or 0
        offset = max(0, used - wanted.first + 1)
        last = max(used, wanted.last + offset)
        session.execute(text("SELECT setval(CAST(:sequence AS regclass), :last)"), {"sequence": sequence, "last": last})
        return offset
    ever = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": name}) or 0
    used = max(ever, session.scalar(select(func.max(table.__table__.c.seq))) or 0)
    offset = max(0, used - wanted.first + 1)
    last = max(used, wanted.last + offset)
    values = {"table": name, "last": last}
    session.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), values)
    session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), values)
    return offset

"""From the event log to the lake: every event once, in order, in pieces that a ledger in the control DB names. Events
of visitors who are not known train nothing, and stay in the log.

A piece is written first and recorded afterwards. A crash in between leaves a file that the ledger does not name; nobody
reads it, and the next export removes it. Which events are new is decided by the ledger alone, in the transaction that
records them, so of two exporters at once one changes nothing.
"""

from __future__ import annotations

import hashlib
import io
import re
from datetime import datetime

import polars as pl
from upath import UPath

from resources.base.errors import CorruptArtifact
from resources.base.tenant import TenantId
from resources.control_db.event_exports import (
    EventExport,
    forget_event_exports,
    list_event_exports,
    record_event_export,
)
from resources.events.log import EVENT_SCHEMA, EventLog
from resources.release.folder import describe
from resources.storage.lake import read_parquet, scan_parquet, write_bytes
from resources.storage.listing import list_files
from resources.stores.tenant_store import TenantStore

EVENTS_AT_ONCE = 50_000
SMALL_PIECE = 10_000
"""A newest piece with fewer events than this is written again with the new ones: the lake must not fill with crumbs."""
_PIECE = re.compile(r"(\d+)-\d+-[0-9a-f]{8}\.parquet")


def export_events(store: TenantStore, *, now: datetime, limit: int = EVENTS_AT_ONCE) -> EventExport | None:
    """Export up to `limit` of the tenant's new events; None when there are none, or another exporter was quicker.

    The caller holds the tenant's run lock, because an erasure must not look between the reading and the writing.

    Raises:
        CorruptArtifact: the newest piece in the lake is not what was written.
    """
    db, tenant = store.db, store.tenant
    ledger = list_event_exports(db, tenant)
    after = ledger[-1] if ledger else None
    page = EventLog(db).export_after(tenant, after.last_seq if after else 0, limit=limit, visitors=False)
    if page.is_empty():
        return None
    folder = store.folder.events
    newest = after if after and after.rows < SMALL_PIECE else None
    if newest is None:
        piece = write_piece(folder, tenant, page, first=page["seq"][0], last=page["seq"][-1], now=now)
    else:
        page = pl.concat([_read(folder, newest), page])
        piece = write_piece(folder, tenant, page, first=newest.first_seq, last=page["seq"][-1], now=now)
    if not record_event_export(db, piece, after=after):
        return None
    remove_unnamed_pieces(folder, (*ledger[: len(ledger) - (newest is not None)], piece), up_to=piece.last_seq)
    return piece


def scan_exported_events(store: TenantStore) -> pl.LazyFrame:
    """Every exported event of the tenant in the order of the log, as `EVENT_SCHEMA`.

    Raises:
        CorruptArtifact: a piece is missing or is not what was written; says how to export it again.
    """
    folder = store.folder.events
    ledger = list_event_exports(store.db, store.tenant)
    for piece in ledger:
        verify_piece(folder, piece)
    return scan_parquet([folder / piece.file for piece in ledger]) if ledger else pl.LazyFrame(schema=EVENT_SCHEMA)


def write_piece(
    folder: UPath, tenant: TenantId, events: pl.DataFrame, *, first: int, last: int, now: datetime
) -> EventExport:
    """Write the events of a stretch of the log. The name holds the checksum, so equal names are equal files."""
    buffer = io.BytesIO()
    events.write_parquet(buffer, compression="zstd", statistics=True)
    content = buffer.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    file = f"{first:012}-{last:012}-{sha256[:8]}.parquet"
    write_bytes(folder / file, content)
    return EventExport(tenant, first, last, events.height, file, sha256, now)


def verify_piece(folder: UPath, piece: EventExport) -> None:
    """Compare a piece with its checksum.

    Raises:
        CorruptArtifact: it is missing or was changed; says what to do.
    """
    try:
        problem = None if describe(folder / piece.file).sha256 == piece.sha256 else "was changed after it was written"
    except FileNotFoundError:
        problem = "is missing"
    if problem is not None:
        raise CorruptArtifact(
            f"events/{piece.file} of tenant {piece.tenant} {problem}. The events are still in the control DB: export "
            f"them anew with `recsaas events export {piece.tenant} --again`, then run the pipeline again."
        )


def forget_damaged_pieces(store: TenantStore) -> int:
    """Forget the first piece that is not what was written, and all later ones; return how many to export again."""
    for piece in list_event_exports(store.db, store.tenant):
        try:
            verify_piece(store.folder.events, piece)
        except CorruptArtifact:
            return forget_event_exports(store.db, store.tenant, first_seq=piece.first_seq)
    return 0


def remove_unnamed_pieces(folder: UPath, ledger: tuple[EventExport, ...], *, up_to: int) -> int:
    """Remove pieces that begin at `up_to` or before and that the ledger does not name; return how many.

    A later one may be that of an exporter at work, which is about to record it.
    """
    named = {piece.file for piece in ledger}
    found = [(file.name, _PIECE.fullmatch(file.name)) for file in list_files(folder)]
    gone = [name for name, match in found if match and int(match[1]) <= up_to and name not in named]
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    return len(gone)


def _read(folder: UPath, piece: EventExport) -> pl.DataFrame:
    verify_piece(folder, piece)
    return read_parquet(folder / piece.file)

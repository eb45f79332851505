"""A user's tracked events: rows of the control DB, and the pieces of the log that are in the lake."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import delete, func, select

from resources.control_db.event_exports import EventExport, list_event_exports, replace_event_export
from resources.control_db.event_rows import events_about
from resources.control_db.tables.events import EventRow
from resources.erasure.places.matching import count_in_table, rows_of
from resources.erasure.places.trace import Subject, Trace, UserData
from resources.erasure.places.uploads import REWRITTEN
from resources.events.export import verify_piece, write_piece
from resources.storage.lake import read_parquet

EVENTS = "control DB: events"


def traces_in_events(subject: Subject) -> Iterator[Trace]:
    """Look at the event log and at every exported piece of it.

    Raises:
        CorruptArtifact: a piece is not what was written.
    """
    count = select(func.count()).select_from(EventRow).where(events_about(subject.tenant, subject.user_id))
    with subject.db.read() as session:
        rows = session.scalar(count) or 0
    if rows:
        yield Trace(UserData(place=EVENTS, rows=rows, done=REWRITTEN), partial(_delete_events, subject))
    for piece in list_event_exports(subject.db, subject.tenant):
        verify_piece(subject.folder.events, piece)
        rows = count_in_table(subject.folder.events / piece.file, subject.user_id)
        if rows:
            finding = UserData(place=f"events/{piece.first_seq}-{piece.last_seq}", rows=rows, done=REWRITTEN)
            yield Trace(finding, partial(_rewrite, subject, piece))


def _delete_events(subject: Subject) -> None:
    with subject.db.write() as session:
        session.execute(
            delete(EventRow)
            .where(events_about(subject.tenant, subject.user_id))
            .execution_options(synchronize_session=False)
        )


def _rewrite(subject: Subject, piece: EventExport) -> None:
    """Write the piece anew, record it in place of the old one, and only then remove the old file."""
    folder = subject.folder.events
    left = read_parquet(folder / piece.file).filter(~rows_of(subject.user_id))
    now = datetime.now(UTC)
    after = write_piece(folder, subject.tenant, left, first=piece.first_seq, last=piece.last_seq, now=now)
    if replace_event_export(subject.db, piece, after):
        (folder / piece.file).unlink(missing_ok=True)

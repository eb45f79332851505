"""Cursors of lists: opaque to clients, and good for one list only."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from bento_service.http.errors import invalid_fields
from resources.base.errors import FieldProblem, InvalidInput


def cursor_after(text: str, *, kind: str) -> str:
    """Return the cursor of the page that goes on after what `text` names; `kind` is the list's own letter."""
    return base64.urlsafe_b64encode(f"{kind}{text}".encode()).decode().rstrip("=")


def text_of(cursor: str, *, kind: str) -> str:
    """Return what the page before ended with.

    Raises:
        InvalidInput: it is not a cursor of such a list.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:  # binascii.Error and UnicodeDecodeError are ValueErrors
        text = ""
    if text[:1] != kind:
        raise foreign_cursor()
    return text[1:]


def foreign_cursor() -> InvalidInput:
    """Return the error for a cursor that this service did not give."""
    return invalid_fields([FieldProblem("cursor", "is not one that this service gave; leave it out")])


def cursor_at(time: datetime, *, kind: str) -> str:
    """As `cursor_after`, for a list that is ordered by time."""
    return cursor_after(time.isoformat(), kind=kind)


def time_of(cursor: str, *, kind: str) -> datetime:
    """Return the time of a cursor.

    Raises:
        InvalidInput: it is not a cursor of such a list.
    """
    text = text_of(cursor, kind=kind)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise foreign_cursor() from error

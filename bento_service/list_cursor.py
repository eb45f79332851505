"""Cursors of lists that are ordered by time: opaque to clients, and good for one list only."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from bento_service.errors import invalid_fields
from resources.errors import FieldProblem


def cursor_at(time: datetime, *, kind: str) -> str:
    """Return the cursor of the page that goes on after `time`; `kind` is the list's own letter."""
    return base64.urlsafe_b64encode(f"{kind}{time.isoformat()}".encode()).decode().rstrip("=")


def time_of(cursor: str, *, kind: str) -> datetime:
    """Return the time of a cursor.

    Raises:
        InvalidInput: it is not a cursor of such a list.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if text[:1] != kind:
            raise ValueError("another kind of cursor")
        return datetime.fromisoformat(text[1:]).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # binascii.Error and UnicodeDecodeError are ValueErrors
        raise invalid_fields([FieldProblem("cursor", "is not one that this service gave; leave it out")]) from error

"""Cursors of lists that are ordered by a time which no two entries share."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from bento_service.errors import invalid_fields
from resources.errors import FieldProblem


def cursor_after(kind: str, at: datetime) -> str:
    """Return the cursor of a page that ends with the entry of this time; `kind` is one letter of the list's own."""
    return base64.urlsafe_b64encode(f"{kind}{at.isoformat()}".encode()).decode().rstrip("=")


def time_of(kind: str, cursor: str) -> datetime:
    """Return the time that a cursor of this list holds.

    Raises:
        InvalidInput: it is none of ours, or of another list.
    """
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        if text[:1] != kind:
            raise ValueError("another kind of cursor")
        return datetime.fromisoformat(text[1:]).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # binascii.Error and UnicodeDecodeError are ValueErrors
        raise invalid_fields([FieldProblem("cursor", "is not one that this service gave; leave it out")]) from error

"""Lists page by page: how many entries a page holds, and the cursor that leads to the page after it.

A cursor is opaque to clients, good for one list only, and holds everything it needs: it works on every worker.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query

from bento_service.http.errors import invalid_fields
from resources.base.errors import FieldProblem, InvalidInput

Key = TypeVar("Key")
Entry = TypeVar("Entry")
MAX_LIMIT = 200
_LARGEST_NUMBER = 2**63 - 1


def cursor_parameter(max_length: int) -> Any:
    """The query parameter `cursor` of a list whose cursors have at most `max_length` characters."""
    return Query(max_length=max_length, description="The `next_cursor` of the page before.")


PageLimit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
PageCursor = Annotated[str | None, cursor_parameter(100)]


@dataclass(frozen=True, slots=True)
class Pages(Generic[Key]):
    """The pages of one list, which is ordered by a key.

    Attributes:
        kind: the list's own letter, with which its cursors begin; another list's cursors are refused.
        write: the key as text.
        read: the key of such a text; raises ValueError or OverflowError for any other.
    """

    kind: str
    write: Callable[[Key], str]
    read: Callable[[str], Key]

    def place(self, cursor: str | None) -> Key | None:
        """Return the key with which the page before ended; `None` for the first page.

        Raises:
            InvalidInput: it is not a cursor of this list.
        """
        if cursor is None:
            return None
        try:
            text = decoded(cursor).decode()
            if text[:1] != self.kind:
                raise ValueError("a cursor of another list")
            return self.read(text[1:])
        except (ValueError, OverflowError) as error:
            raise foreign_cursor() from error

    def cursor(self, key: Key) -> str:
        """Return the cursor of the page after the entry with this key."""
        return encoded(f"{self.kind}{self.write(key)}".encode())

    def cut(
        self, found: Sequence[Entry], *, limit: int, key: Callable[[Entry], Key]
    ) -> tuple[Sequence[Entry], str | None]:
        """Return the first `limit` entries and the cursor to the others; `None` when there are no others."""
        if len(found) <= limit:
            return found, None
        return found[:limit], self.cursor(key(found[limit - 1]))


def pages_by_text(kind: str) -> Pages[str]:
    """The pages of a list that is ordered by a text."""
    return Pages(kind, write=str, read=str)


def pages_by_number(kind: str) -> Pages[int]:
    """The pages of a list that is ordered by a number of the database, from 1."""
    return Pages(kind, write=str, read=_number)


def pages_by_time(kind: str) -> Pages[datetime]:
    """The pages of a list that is ordered by a time."""
    return Pages(kind, write=datetime.isoformat, read=lambda text: datetime.fromisoformat(text).astimezone(UTC))


def encoded(content: bytes) -> str:
    """Return what a cursor says as text that may stand in an address."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decoded(cursor: str) -> bytes:
    """Return what a cursor says.

    Raises:
        ValueError: it is not the text of a cursor.
    """
    return base64.b64decode(f"{cursor}{'=' * (-len(cursor) % 4)}", altchars=b"-_", validate=True)


def foreign_cursor() -> InvalidInput:
    """Return the error for a cursor that this service did not give."""
    return invalid_fields([FieldProblem("cursor", "is not one that this service gave; leave it out")])


def _number(text: str) -> int:
    number = int(text)
    if not 0 < number <= _LARGEST_NUMBER:
        raise ValueError("not a number of the database")
    return number

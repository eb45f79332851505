"""A user's rows of the decision log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from resources.erasure.places.trace import Subject, Trace, UserData
from resources.erasure.places.uploads import REWRITTEN

PLACE = "decision log"


def traces_in_decisions(subject: Subject) -> Iterator[Trace]:
    """Look at the answers that the user was given."""
    rows = subject.decisions.count(subject.tenant, subject.user_id)
    if rows:
        yield Trace(UserData(place=PLACE, rows=rows, done=REWRITTEN), lambda: keep_out(subject, datetime.now(UTC)))


def keep_out(subject: Subject, until: datetime) -> None:
    """Remove what is there, and what a worker of the service has answered until then and not written yet."""
    subject.decisions.erase_user(subject.tenant, subject.user_id, until=until)

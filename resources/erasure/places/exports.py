"""A user's rows in files with the recommendations of all users, and in archives of the whole tenant: such a file is
removed, and can be asked for again.

An export that is being written when the erasure is requested begins anew, without the user; see `request_erasure`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import polars as pl
from upath import UPath

from resources.erasure.places.matching import count_in_table, rows_of
from resources.erasure.places.trace import Subject, Trace, UserData
from resources.jobs.kinds.exports import note_file_gone
from resources.jobs.kinds.tenant_exports import ARCHIVE_SUFFIX
from resources.storage.lake import local_file
from resources.storage.listing import list_files

_DONE = "the file was removed; the export can be asked for again"
_WHY = "The file was removed, because a user in it was erased. Ask for a new export."


def traces_in_exports(subject: Subject) -> Iterator[Trace]:
    """Look at the file of every export of the tenant."""
    folder = subject.folder.exports
    for file in sorted(list_files(folder), key=lambda file: file.name):
        if file.name.startswith("."):
            continue
        rows = _count(folder / file.name, subject.user_id)
        if rows:
            finding = UserData(place=f"exports/{file.name}", rows=rows, done=_DONE)
            yield Trace(finding, partial(_remove, subject, folder / file.name))


def _count(path: UPath, user_id: str) -> int:
    if path.name.endswith(ARCHIVE_SUFFIX):
        return 1  # nobody unpacks it for a look: it holds all that the tenant has had
    if path.suffix == ".parquet":
        return count_in_table(path, user_id)
    with local_file(path) as local:
        table = pl.scan_csv(local, infer_schema=False, glob=False)
        found = table.filter(rows_of(user_id)).select(pl.len()).collect(engine="streaming").item()
        return int(found)


def _remove(subject: Subject, path: UPath) -> None:
    """First the note, then the file: the file is what the next search finds, after a crash."""
    note_file_gone(subject.db, subject.tenant, path.name.partition(".")[0], code="user_erased", message=_WHY)
    path.unlink(missing_ok=True)

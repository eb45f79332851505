"""Inspecting an upload: every row is checked, and what is found goes to files of a work folder at once."""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from resources.base.errors import UploadRefused
from resources.uploads.checking.parts import Part, PartWriter
from resources.uploads.checking.rejected import undo_download
from resources.uploads.contract.columns import DELETED, REJECTED_ROW, Kind
from resources.uploads.contract.incoming import UploadPolicy
from resources.uploads.contract.report import RowError
from resources.uploads.deduplication.entries import Entries, EntryFiles, entries_of
from resources.uploads.deduplication.pairs import Lines
from resources.uploads.parsing.batch import CheckedBatch, check_batch, first_errors
from resources.uploads.parsing.csv_reader import ROW_NUMBER, TextBatch
from resources.uploads.parsing.hashing import Hashes
from resources.uploads.parsing.mapping import interaction_type_map
from resources.uploads.parsing.reader import TextTable, open_table
from resources.uploads.parsing.statistics import summarise
from resources.uploads.parsing.uploaded_file import Format, UploadedFile
from resources.uploads.parsing.validation import ValidationRule, rules_for

_CHECKERS = 2
_EXPANSION = {Format.CSV: 1, Format.TSV: 1, Format.CSV_GZ: 12, Format.TSV_GZ: 12, Format.PARQUET: 5}


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file to be checked: under which id, when it was received, and what it has to keep to."""

    kind: Kind
    file: UploadedFile
    upload_id: str
    received_at: datetime
    policy: UploadPolicy

    def open(self) -> AbstractContextManager[TextTable]:
        """Open the file as text; see `open_table`."""
        return open_table(self.file, self.kind, max_bytes=self.policy.max_bytes, limits=self.policy.limits)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of the rules on a file, before anything is compared. The files lie in the work folder.

    The `valid` parts have the columns of `accepted_schema(kind)` with `extra_<name>` before `upload_id`, the `rejected`
    ones `rejected_row` (the line), `rejected_reason` and the columns of the file as text; both in file order.
    `headers` maps our names of the columns onto the file's. `deleted` are the hashes that deletions name.
    """

    check: FileCheck
    valid: tuple[Part, ...]
    rejected: tuple[Part, ...]
    errors: tuple[RowError, ...]
    errors_by_rule: dict[str, int]
    headers: dict[str, str]
    by_key: EntryFiles
    by_event: EntryFiles
    deleted: Hashes

    @property
    def kind(self) -> Kind:
        """Kind of the rows."""
        return self.check.kind

    @property
    def rows_valid(self) -> int:
        """Number of rows that break no rule."""
        return sum(part.rows for part in self.valid)

    @property
    def times(self) -> tuple[datetime, datetime] | None:
        """The earliest and the latest time of the valid interactions that delete nothing; None when there are none."""
        found = [(s.first, s.last) for part in self.valid if (s := part.summary) and s.first and s.last]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    @property
    def rows_rejected(self) -> int:
        """Number of rows that break a rule."""
        return sum(part.rows for part in self.rejected)


def inspect_file(check: FileCheck, *, work: Path, on_progress: Callable[[int], None] | None = None) -> Inspection:
    """Check every row of a file. Memory holds some batches and a part, however long the file is.

    Args:
        work: an empty folder; what is found stays in it.
        on_progress: told how many bytes of the file, as it was sent, have been read.

    Raises:
        TooLarge: the file's text is over the policy's `max_bytes`, or it has too many rows.
        TakesLong: it is too much work for the answer that the policy's limits say somebody waits for.
        UploadRefused: the file cannot be read at all; `reason` is the code.
    """
    kind, settings = check.kind, check.policy.settings
    rules = rules_for(kind, settings, check.received_at)
    checked = partial(_check, kind=kind, rules=rules, types=interaction_type_map(settings))
    with ThreadPoolExecutor(_CHECKERS) as pool, check.open() as table:
        gathered = _Gathered(check, table, work=work, pool=pool)
        for batch, keys, events in _side_by_side(pool, checked, _told(table, on_progress)):
            gathered.add(batch, keys, events)
        return gathered.finish()


class _Gathered:
    """Everything gathered from the batches of a file: parts and entries in the work folder, and counts."""

    def __init__(self, check: FileCheck, table: TextTable, *, work: Path, pool: Executor) -> None:
        self._check = check
        named = zip(table.names, table.headers, strict=True)
        self._headers = {name: header.strip() or name for name, header in named}
        text_bytes = min(check.policy.max_bytes, check.file.size * _EXPANSION[check.file.format])
        self._by_key, self._by_event = (EntryFiles(work, name, text_bytes=text_bytes) for name in ("key", "event"))
        summary = partial(summarise, check.kind)
        self._valid = PartWriter(work / "valid", row_column=ROW_NUMBER, pool=pool, summarise=summary)
        self._rejected = PartWriter(work / "rejected", row_column=REJECTED_ROW, pool=pool)
        self._deleted: list[Hashes] = []
        self._errors: tuple[RowError, ...] = ()
        self._counts = Counter[str]()
        self._batches = 0

    def add(self, batch: CheckedBatch, keys: Entries, events: Entries) -> None:
        """Take a batch that follows those taken before."""
        upload = pl.lit(self._check.upload_id, dtype=pl.String).alias("upload_id")
        self._batches += 1
        self._valid.add(batch.valid.select(pl.exclude(ROW_NUMBER), upload, ROW_NUMBER))
        self._rejected.add(batch.rejected.rename(self._headers, strict=False))
        self._by_key.add(keys)
        self._by_event.add(events)
        self._deleted += [entries["hash"][entries[DELETED]] for entries in (keys, events)]
        self._errors = first_errors((*self._errors, *batch.errors))
        self._counts.update(batch.errors_by_rule)

    def finish(self) -> Inspection:
        """Write what is left. Raises UploadRefused when there was no batch."""
        if not self._batches:
            raise UploadRefused(
                "empty_file",
                f"{self._check.file.filename} has a header and no rows; send a file with at least one row.",
            )
        return Inspection(
            check=self._check,
            valid=self._valid.finish(),
            rejected=self._rejected.finish(),
            errors=self._errors,
            errors_by_rule=dict(self._counts),
            headers=self._headers,
            by_key=self._by_key,
            by_event=self._by_event,
            deleted=np.unique(np.concatenate(self._deleted)),
        )


def text_of_rows(inspection: Inspection, rows: Lines) -> Iterator[pl.DataFrame]:
    """Read the file again and yield the text of the rows on these lines (sorted, shape (n,)), a batch at a time."""
    wanted = pl.Series(ROW_NUMBER, rows, dtype=pl.Int64).to_frame()
    with inspection.check.open() as table:
        for batch in table.batches:
            yield undo_download(batch).frame.join(wanted, on=ROW_NUMBER, how="semi", maintain_order="left")


def _check(
    batch: TextBatch, *, kind: Kind, rules: Sequence[ValidationRule], types: Mapping[str, str]
) -> tuple[CheckedBatch, Entries, Entries]:
    checked = check_batch(undo_download(batch), kind=kind, rules=rules, types=types)
    checked = replace(
        checked,
        valid=_on_its_own(checked.valid, of=batch.frame.height),
        rejected=_on_its_own(checked.rejected, of=batch.frame.height),
    )
    return checked, *entries_of(kind, checked.valid)


def _on_its_own(rows: pl.DataFrame, *, of: int) -> pl.DataFrame:
    """Copy a small share of a batch: some rows that wait to be written would keep the text of the whole batch."""
    if rows.height > of // 2:
        return rows
    buffer = io.BytesIO()
    rows.write_ipc(buffer)
    buffer.seek(0)
    return pl.read_ipc(buffer)


def _told(table: TextTable, on_progress: Callable[[int], None] | None) -> Iterator[TextBatch]:
    for batch in table.batches:
        yield batch
        if on_progress is not None:
            on_progress(table.consumed())


def _side_by_side(
    pool: ThreadPoolExecutor,
    check: Callable[[TextBatch], tuple[CheckedBatch, Entries, Entries]],
    batches: Iterable[TextBatch],
) -> Iterator[tuple[CheckedBatch, Entries, Entries]]:
    """Check batches while the next ones are read; the order stays, and few batches are held at a time."""
    waiting: deque[Future[tuple[CheckedBatch, Entries, Entries]]] = deque()
    for batch in batches:
        waiting.append(pool.submit(check, batch))
        if len(waiting) > _CHECKERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

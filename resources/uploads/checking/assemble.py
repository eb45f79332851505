"""From an inspection and its repeats to what is stored: the parts, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from resources.uploads.checking.duplicates import Repeats
from resources.uploads.checking.inspect import Inspection, text_of_rows
from resources.uploads.checking.parts import Part, PartWriter, write_part
from resources.uploads.contract.columns import REJECTED_ROW, id_column
from resources.uploads.contract.report import MAX_LISTED_ERRORS, RowError, UploadReport, status_of
from resources.uploads.deduplication.pairs import Mask
from resources.uploads.parsing.batch import first_errors, rejected_rows, row_error
from resources.uploads.parsing.csv_reader import ROW_NUMBER
from resources.uploads.parsing.hashing import Hashes
from resources.uploads.parsing.statistics import PartSummary, add_up, summarise


@dataclass(frozen=True, slots=True)
class CheckedUpload:
    """Part files in the work folder, ready to be stored, and the report. `gone` as in `Repeats`."""

    accepted: tuple[Path, ...]
    rejected: tuple[Path, ...]
    gone: Mask
    report: UploadReport


def assemble(inspection: Inspection, repeats: Repeats, *, catalogue: Hashes | None, work: Path) -> CheckedUpload:
    """Leave the repeats out of the accepted rows, add the conflicts to the rejected ones, and count.

    Only parts that change are written again. `catalogue` has the hashed ids of the tenant's items, shape (n_items,).
    """
    kind, file = inspection.kind, inspection.check.file
    accepted = _without(inspection, repeats.gone, work / "accepted")
    rejected, errors, counts = inspection.rejected, inspection.errors, dict(inspection.errors_by_rule)
    conflicts = len(repeats.conflicts)
    if conflicts:
        rejected, found = _with_conflicts(inspection, repeats, work / "all-rejected")
        errors = first_errors((*errors, *found))
        counts[f"{id_column(kind)}.repeated"] = conflicts
    rows_accepted = inspection.rows_valid - repeats.duplicates - conflicts
    report = UploadReport(
        upload_id=inspection.check.upload_id,
        kind=kind,
        status=status_of(
            accepted=rows_accepted,
            rejected=inspection.rows_rejected + conflicts,
            duplicate=repeats.duplicates,
        ),
        filename=file.filename,
        sha256=file.sha256,
        rows_total=inspection.rows_valid + inspection.rows_rejected,
        rows_accepted=rows_accepted,
        rows_rejected=inspection.rows_rejected + conflicts,
        rows_duplicate=repeats.duplicates,
        validation_errors=errors,
        errors_by_rule=counts,
        statistics=add_up(kind, _summaries(accepted), catalogue),
    )
    return CheckedUpload(_files(accepted), _files(rejected), repeats.gone, report)


def _without(inspection: Inspection, gone: Mask, folder: Path) -> tuple[Part, ...]:
    folder.mkdir()
    kept = []
    for part in inspection.valid:
        if not gone[part.first_row : part.last_row + 1].any():
            kept.append(part)
            continue
        frame = pl.read_parquet(part.path)
        frame = frame.filter(pl.Series(~gone[frame[ROW_NUMBER].to_numpy()]))
        if frame.height or part is inspection.valid[0]:
            kept.append(write_part(folder / part.path.name, frame, ROW_NUMBER, partial(summarise, inspection.kind)))
    return tuple(kept)


def _with_conflicts(inspection: Inspection, repeats: Repeats, folder: Path) -> tuple[tuple[Part, ...], list[RowError]]:
    """Put conflicting rows among the rejected ones, as the file has them: their text is read from the file again."""
    kind, column = inspection.kind, id_column(inspection.kind)
    rows, first_rows = repeats.conflicts["row"], repeats.conflicts["first_row"]
    old = iter(inspection.rejected)
    held = pl.read_parquet(next(old).path)
    errors: list[RowError] = []
    with ThreadPoolExecutor(1) as pool:
        writer = PartWriter(folder, row_column=REJECTED_ROW, pool=pool)
        for text in text_of_rows(inspection, rows):
            if text.is_empty():
                continue
            first = first_rows[np.searchsorted(rows, text[ROW_NUMBER].to_numpy())]
            why = pl.select(pl.format("repeats the id of line {} with other values; keep one of the two", first))
            reasons = why.to_series()
            listed = text.head(max(0, MAX_LISTED_ERRORS - len(errors)))
            errors += [
                row_error(kind, row, column, reason)
                for row, reason in zip(listed.iter_rows(named=True), reasons, strict=False)
            ]
            added = rejected_rows(text, pl.select(pl.format(f"{column} {{}}", reasons)).to_series())
            added = added.rename(inspection.headers, strict=False)
            last = int(text[ROW_NUMBER][-1])
            while held.is_empty() or held[REJECTED_ROW][-1] <= last:
                part = next(old, None)
                if part is None:
                    break
                held = pl.concat([held, pl.read_parquet(part.path)])
            before = pl.col(REJECTED_ROW) <= last
            writer.add(pl.concat([held.filter(before), added]).sort(REJECTED_ROW))
            held = held.filter(~before)
        writer.add(held)
        for part in old:
            writer.add(pl.read_parquet(part.path))
        return writer.finish(), errors


def _summaries(parts: Sequence[Part]) -> list[PartSummary]:
    return [part.summary for part in parts if part.summary is not None]


def _files(parts: Sequence[Part]) -> tuple[Path, ...]:
    return tuple(part.path for part in parts)

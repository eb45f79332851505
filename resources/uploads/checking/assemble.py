"""From an inspection and its repeats to what is stored: the parts, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs
from pydantic import JsonValue
from upath import UPath

from resources.storage.lake import scan_parquet
from resources.uploads.checking.duplicates import Repeats
from resources.uploads.checking.inspect import Inspection, text_of_rows
from resources.uploads.checking.parts import Part, PartWriter, write_part
from resources.uploads.contract.columns import REJECTED_ROW, Kind, id_column
from resources.uploads.contract.findings import Finding, FindingLevel, merge
from resources.uploads.contract.report import (
    MAX_LISTED_ERRORS,
    RowError,
    UploadReport,
    reported,
    status_of,
)
from resources.uploads.deduplication.pairs import Mask
from resources.uploads.headers.variants import merged_items
from resources.uploads.parsing.batch import first_errors, rejected_rows, row_error
from resources.uploads.parsing.csv_reader import ROW_NUMBER
from resources.uploads.parsing.hashing import Hashes
from resources.uploads.parsing.statistics import PartSummary, add_up, frequent_ids, personal_columns, summarise

OTHER_CONTENT = "with another user, item or type: give each line of an order an event_id of its own, such as order-17-2"

_PREVIEW_ROWS = 10


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
    accepted = _without(inspection, repeats, work / "accepted")
    rejected, errors, counts = inspection.rejected, inspection.errors, dict(inspection.errors_by_rule)
    conflicts = len(repeats.conflicts)
    if conflicts:
        rejected, found = _with_conflicts(inspection, repeats, work / "all-rejected")
        errors = first_errors((*errors, *found))
        counts[f"{_conflict_column(kind)}.{'conflict' if kind is Kind.INTERACTIONS else 'repeated'}"] = conflicts
    summaries = _summaries(accepted)
    findings = (*inspection.findings, *personal_columns(inspection.headers), *frequent_ids(summaries))
    if len(repeats.variants):
        findings = merge((*findings, Finding("variant_rows", "item_id", len(repeats.variants))))
    layout = inspection.layout
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
        rows_ignored=inspection.rows_ignored,
        reading=inspection.reading.model_copy(update={"columns": inspection.columns}),
        notes=reported(findings, FindingLevel.NOTE),
        warnings=reported(findings, FindingLevel.WARNING),
        columns_ignored=() if kind is Kind.USERS else layout.ignored,  # of users they are attributes
        validation_errors=errors,
        errors_by_rule=counts,
        statistics=add_up(kind, summaries, catalogue),
    )
    return CheckedUpload(_files(accepted), _files(rejected), repeats.gone, report)


def preview_of(checked: CheckedUpload) -> tuple[dict[str, JsonValue], ...]:
    """Return the first rows of a checked file as they would be stored, with the line of each as `row`."""
    frame = pl.read_parquet(checked.accepted[0], n_rows=_PREVIEW_ROWS)
    shown = frame.select(pl.col(ROW_NUMBER).alias("row"), pl.exclude(ROW_NUMBER, "upload_id"))
    texts = shown.with_columns(cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    names = {name: name.removeprefix("extra_") for name in texts.columns}
    plain = {name: short if short == name or short not in names else name for name, short in names.items()}
    return tuple(texts.rename(plain).iter_rows(named=True))


def _without(inspection: Inspection, repeats: Repeats, folder: Path) -> tuple[Part, ...]:
    folder.mkdir()
    kept = []
    gone, variants = repeats.gone, repeats.variants
    for part in inspection.valid:
        begins = (variants["first_row"] >= part.first_row) & (variants["first_row"] <= part.last_row)
        if not gone[part.first_row : part.last_row + 1].any() and not begins.any():
            kept.append(part)
            continue
        frame = pl.read_parquet(part.path)
        frame = frame.filter(pl.Series(~gone[frame[ROW_NUMBER].to_numpy()]))
        if begins.any():
            merged = _merged(inspection, variants[begins])
            others = frame.join(merged, on=ROW_NUMBER, how="anti", maintain_order="left")
            frame = pl.concat([others, merged]).sort(ROW_NUMBER)
        if frame.height or part is inspection.valid[0]:
            kept.append(write_part(folder / part.path.name, frame, ROW_NUMBER, partial(summarise, inspection.kind)))
    return tuple(kept)


def _merged(inspection: Inspection, variants: npt.NDArray[np.void]) -> pl.DataFrame:
    """Return the items that these variants make together with the rows that they begin with."""
    firsts = np.unique(variants["first_row"])
    lines = np.concatenate([firsts, variants["row"]])
    first_rows = pl.DataFrame({ROW_NUMBER: lines, "first_row": np.concatenate([firsts, variants["first_row"]])})
    rows = scan_parquet([UPath(part.path) for part in inspection.valid])
    return merged_items(rows, first_rows)


def _with_conflicts(inspection: Inspection, repeats: Repeats, folder: Path) -> tuple[tuple[Part, ...], list[RowError]]:
    """Put conflicting rows among the rejected ones, as the file has them: their text is read from the file again."""
    kind, column = inspection.kind, _conflict_column(inspection.kind)
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
            reasons = _why(kind, pl.Series(first))
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


def _conflict_column(kind: Kind) -> str:
    """The column whose value two rows share that say something else."""
    return "event_id" if kind is Kind.INTERACTIONS else id_column(kind)


def _why(kind: Kind, first: pl.Series) -> pl.Series:
    """Reasons why rows conflict with the rows on the lines `first`, 0 for rows that are stored; shape (n,)."""
    line = pl.lit(first)
    if kind is not Kind.INTERACTIONS:
        why = pl.format("repeats the id of line {} with other values; keep one of the two", line)
        return pl.select(why).to_series()
    other = pl.when(line == 0).then(pl.lit("an interaction that is stored")).otherwise(pl.format("line {}", line))
    return pl.select(pl.format(f"is that of {{}} {OTHER_CONTENT}", other)).to_series()


def _summaries(parts: Sequence[Part]) -> list[PartSummary]:
    return [part.summary for part in parts if part.summary is not None]


def _files(parts: Sequence[Part]) -> tuple[Path, ...]:
    return tuple(part.path for part in parts)

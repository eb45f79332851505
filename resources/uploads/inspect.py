"""Inspecting an upload: the accepted rows, the rejected ones with every reason, and the report."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from resources.errors import UploadRefused
from resources.tenant_settings import TenantSettings
from resources.uploads.batch import (
    CheckedBatch,
    check_batch,
    first_errors,
    rejected_rows,
    row_error,
)
from resources.uploads.contract import REJECTED_ROW, Kind, id_column
from resources.uploads.csv_reader import ROW_NUMBER, TextBatch
from resources.uploads.duplicates import Repeats, repeats_by_id, repeats_of_interactions
from resources.uploads.parsing import interaction_type_map
from resources.uploads.reader import open_table
from resources.uploads.rejected import undo_download
from resources.uploads.report import UploadReport, UploadStatistics, status_of
from resources.uploads.rules import rules_for
from resources.uploads.source import Source, identify

_CHECKERS = 2


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is to be stored of an upload.

    `accepted` has the columns of `accepted_schema(kind)` with `extra_<name>` before `upload_id`; `rejected` has
    `rejected_row` (the line), `rejected_reason` and the columns of the file as text, both in file order.
    """

    accepted: pl.DataFrame
    rejected: pl.DataFrame
    report: UploadReport


def upload_id_of(kind: Kind, sha256: str) -> str:
    """Return the id of an upload: the same content always has the same one."""
    return f"{kind}-{sha256[:16]}"


def inspect_upload(
    kind: Kind,
    content: Path | bytes,
    *,
    filename: str,
    settings: TenantSettings,
    now: datetime,
    max_bytes: int,
    catalogue: pl.Series | AbstractSet[str] | None = None,
) -> Inspection:
    """Check a whole file: rules first, then repeats among the valid rows. Nothing is stored.

    `catalogue` holds the tenant's item ids; with it, `unknown_items` counts the items of interactions it lacks.

    Raises:
        TooLarge: the file, or its text when uncompressed, is over `max_bytes`.
        UploadRefused: the file cannot be read at all; `reason` is the code.
    """
    return inspect_source(
        kind,
        identify(content, filename=filename, max_bytes=max_bytes),
        settings=settings,
        now=now,
        max_bytes=max_bytes,
        catalogue=catalogue,
    )


def inspect_source(
    kind: Kind,
    source: Source,
    *,
    settings: TenantSettings,
    now: datetime,
    max_bytes: int,
    catalogue: pl.Series | AbstractSet[str] | None = None,
) -> Inspection:
    """Do what `inspect_upload` does for a source that is identified already."""
    rules = rules_for(kind, settings, now)
    types = interaction_type_map(settings)
    with open_table(source, kind, max_bytes=max_bytes) as table:
        checked = _side_by_side(
            lambda batch: check_batch(undo_download(batch), kind=kind, rules=rules, types=types), table.batches
        )
        headers = {name: header.strip() or name for name, header in zip(table.names, table.headers, strict=True)}
    if not checked:
        raise UploadRefused(
            "empty_file", f"{source.filename} has a header and no rows; send a file with at least one row."
        )
    upload_id = upload_id_of(kind, source.sha256)
    valid = pl.concat([batch.valid for batch in checked])
    repeats = _repeats(kind, valid)
    conflicting = _conflicting(kind, checked, repeats)
    gone = repeats.duplicate.clone().scatter(repeats.conflicts["index"], True)
    accepted = valid.filter(~gone) if gone.any() else valid
    accepted = accepted.select(
        pl.exclude(ROW_NUMBER), pl.lit(upload_id, dtype=pl.String).alias("upload_id"), ROW_NUMBER
    )
    rejected = pl.concat([*(batch.rejected for batch in checked), conflicting.rejected])
    if conflicting.rejected.height:
        rejected = rejected.sort(REJECTED_ROW)
    counts = Counter[str]()
    for batch in (*checked, conflicting):
        counts.update(batch.errors_by_rule)
    duplicate = int(repeats.duplicate.sum())
    report = UploadReport(
        upload_id=upload_id,
        kind=kind,
        status=status_of(accepted=accepted.height, rejected=rejected.height),
        filename=source.filename,
        sha256=source.sha256,
        rows_total=valid.height + sum(batch.rejected.height for batch in checked),
        rows_accepted=accepted.height,
        rows_rejected=rejected.height,
        rows_duplicate=duplicate,
        validation_errors=first_errors([error for batch in (*checked, conflicting) for error in batch.errors]),
        errors_by_rule=dict(counts),
        statistics=_statistics(kind, accepted, catalogue),
    )
    return Inspection(accepted, rejected.rename(headers, strict=False), report)


def _side_by_side(check: Callable[[TextBatch], CheckedBatch], batches: Iterable[TextBatch]) -> list[CheckedBatch]:
    """Check batches while the next ones are read; the order stays, and few batches are held at a time."""
    checked: list[CheckedBatch] = []
    with ThreadPoolExecutor(_CHECKERS) as pool:
        waiting: deque[Future[CheckedBatch]] = deque()
        for batch in batches:
            waiting.append(pool.submit(check, batch))
            if len(waiting) > _CHECKERS:
                checked.append(waiting.popleft().result())
        checked.extend(future.result() for future in waiting)
    return checked


def _repeats(kind: Kind, valid: pl.DataFrame) -> Repeats:
    return repeats_of_interactions(valid) if kind is Kind.INTERACTIONS else repeats_by_id(valid, id_column(kind))


def _conflicting(kind: Kind, checked: list[CheckedBatch], repeats: Repeats) -> CheckedBatch:
    """Turn rows that contradict an earlier one with their id into rejected rows."""
    column = id_column(kind)
    texts = checked[0].valid_text.clear()
    reasons = pl.Series([], dtype=pl.String)
    if repeats.conflicts.height:
        texts = pl.concat([batch.valid_text for batch in checked])[repeats.conflicts["index"]]
        reasons = repeats.conflicts.select(
            pl.format("repeats the id of line {} with other values; keep one of the two", "first_row")
        ).to_series()
    rejected = rejected_rows(texts, pl.select(pl.format(f"{column} {{}}", reasons)).to_series())
    errors = first_errors(
        [
            row_error(kind, row, column, why)
            for row, why in zip(texts.head(100).iter_rows(named=True), reasons, strict=False)
        ]
    )
    counts = {f"{column}.repeated": rejected.height} if rejected.height else {}
    return CheckedBatch(checked[0].valid.clear(), texts.clear(), rejected, errors, counts)


def _statistics(kind: Kind, accepted: pl.DataFrame, catalogue: pl.Series | AbstractSet[str] | None) -> UploadStatistics:
    if kind is Kind.ITEMS:
        return UploadStatistics(unique_items=accepted.height)
    if kind is Kind.USERS:
        return UploadStatistics(unique_users=accepted.height)
    items = accepted["item_id"].unique()
    unknown = None
    if catalogue is not None:
        known = catalogue if isinstance(catalogue, pl.Series) else pl.Series(list(catalogue), dtype=pl.String)
        unknown = int((~items.is_in(known.cast(pl.String).implode())).sum())
    by_type = accepted.group_by("interaction_type").len().sort("len", "interaction_type", descending=[True, False])
    first, last = accepted.select(first=pl.col("timestamp").min(), last=pl.col("timestamp").max()).row(0)
    return UploadStatistics(
        unique_users=accepted["user_id"].n_unique(),
        unique_items=len(items),
        unknown_items=unknown,
        interaction_types=dict(by_type.iter_rows()),
        first_timestamp=first,
        last_timestamp=last,
    )

"""A user's rows in the files the shop uploaded: parts, reports, originals, and files that were only checked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import polars as pl
from upath import UPath

from resources.base.ids import normalise_id
from resources.control_db.tables.jobs import JobRow
from resources.control_db.uploads import UploadRecord, list_uploads
from resources.erasure.places.matching import (
    USER,
    count_in_table,
    names_user,
    raw_rows_of,
    rows_of,
    without_user,
)
from resources.erasure.places.original import original_names_user
from resources.erasure.places.trace import Subject, Trace, UserData
from resources.jobs.model import JobKind
from resources.jobs.store import list_jobs
from resources.storage.lake import parts, read_json, scan_parquet, sink_parquet, write_json
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.report import MAX_VALUE_CHARACTERS
from resources.uploads.parsing.csv_reader import ROW_NUMBER

REWRITTEN = "the user's rows were removed"
_ORIGINAL = "the file was removed; its other rows are in the parts beside it"
_KEYS = "the hashes of the user's rows were removed"
_REPORT = "the user was blotted out of the listed errors; the counts stay"


def traces_in_uploads(subject: Subject) -> Iterator[Trace]:
    """Look through every upload that can name a user.

    The parts go last, because they say what of the rest has to go.
    """
    for upload in list_uploads(subject.db, subject.tenant):
        if upload.kind != Kind.ITEMS:
            yield from _traces_in(subject, upload)


def traces_in_job_reports(subject: Subject) -> Iterator[Trace]:
    """Reports of files that were checked and not stored are in the control DB."""
    for job in list_jobs(subject.db, subject.tenant, (JobKind.UPLOAD,)):
        report = job.result.get("report")
        hits = report_without(report, subject.user_id)[1] if report else 0
        if hits:
            finding = UserData(place=f"control DB: upload_jobs/{job.id}", rows=hits, done=_REPORT)
            yield Trace(finding, partial(_scrub_job_report, subject, job.id))


def report_without(report: dict[str, Any], user_id: str) -> tuple[dict[str, Any], int]:
    """A report as JSON without the user, and how many of its errors and findings named them."""
    errors = report.get("validation_errors") or []
    scrubbed = [_error_without(error, user_id) for error in errors]
    hits = sum(after != before for after, before in zip(scrubbed, errors, strict=True))
    without = {**report, "validation_errors": scrubbed}
    for name in ("notes", "warnings"):
        found = report.get(name) or []
        without[name] = [_finding_without(each, user_id) for each in found]
        hits += sum(after != before for after, before in zip(without[name], found, strict=True))
    return without, hits


def _finding_without(finding: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Examples of a finding may be ids, or rows."""
    short = user_id[:MAX_VALUE_CHARACTERS]
    shown = [each for each in finding["examples"] if normalise_id(each) != short and not names_user(each, user_id)]
    return {**finding, "examples": shown}


def _traces_in(subject: Subject, upload: UploadRecord) -> Iterator[Trace]:
    kind, folder = Kind(upload.kind), subject.folder.upload(upload.upload_id)
    place = f"uploads/{upload.upload_id}"
    accepted = _counted(subject, parts(subject.folder.accepted(upload.upload_id)), place)
    rejected = _counted(subject, parts(subject.folder.rejected(upload.upload_id)), place, kind=kind)
    for original in sorted(folder.glob("original.*"), key=lambda path: path.name):
        if accepted or rejected or original_names_user(subject, original, kind):
            rows = sum(finding.rows for _, finding in (*accepted, *rejected))
            finding = UserData(place=f"{place}/{original.name}", rows=rows, done=_ORIGINAL)
            yield Trace(finding, partial(original.unlink, missing_ok=True))
    report = folder / "report.json"
    if report.exists() and (hits := report_without(read_json(report), subject.user_id)[1]):
        finding = UserData(place=f"{place}/report.json", rows=hits, done=_REPORT)
        yield Trace(finding, partial(_scrub_report, report, subject.user_id))
    if accepted:
        lines = scan_parquet([path for path, _ in accepted]).filter(rows_of(subject.user_id)).select(ROW_NUMBER)
        for keys in sorted(folder.glob("keys*.parquet"), key=lambda path: path.name):
            rows = scan_parquet([keys]).join(lines, on=ROW_NUMBER, how="semi").select(pl.len()).collect().item()
            if rows:
                finding = UserData(place=f"{place}/{keys.name}", rows=rows, done=_KEYS)
                yield Trace(finding, partial(_remove_keys, keys, lines))
    for path, finding in rejected:
        yield Trace(finding, partial(_rewrite_rejected, path, subject.user_id, kind))
    for path, finding in accepted:
        yield Trace(finding, partial(remove_rows, path, subject.user_id))


def remove_rows(path: UPath, user_id: str) -> None:
    """Write a table of ours again without the user's rows."""
    sink_parquet(scan_parquet([path]).filter(~rows_of(user_id)), path)


def rejected_rows_of(path: UPath, user_id: str, kind: Kind) -> pl.LazyFrame:
    """The user's rows in a part with rejected rows."""
    table = scan_parquet([path])
    return table.filter(raw_rows_of(user_id, tuple(table.collect_schema()), kind))


def _counted(
    subject: Subject, files: tuple[UPath, ...], place: str, *, kind: Kind | None = None
) -> list[tuple[UPath, UserData]]:
    """Parts with rows of the user; with `kind` they hold rejected rows."""
    found = []
    for path in files:
        rows = (
            count_in_table(path, subject.user_id)
            if kind is None
            else rejected_rows_of(path, subject.user_id, kind).select(pl.len()).collect().item()
        )
        if rows:
            name = f"{place}/{path.parent.name}/{path.name}"
            found.append((path, UserData(place=name, rows=rows, done=REWRITTEN)))
    return found


def _rewrite_rejected(path: UPath, user_id: str, kind: Kind) -> None:
    table = scan_parquet([path])
    theirs = raw_rows_of(user_id, tuple(table.collect_schema()), kind)
    sink_parquet(table.filter(~theirs), path)


def _remove_keys(path: UPath, lines: pl.LazyFrame) -> None:
    kept = scan_parquet([path]).join(lines, on=ROW_NUMBER, how="anti", maintain_order="left")
    sink_parquet(kept, path)


def _scrub_report(path: UPath, user_id: str) -> None:
    write_json(path, report_without(read_json(path), user_id)[0])


def _scrub_job_report(subject: Subject, job_id: str) -> None:
    with subject.db.write() as session:
        row = session.get(JobRow, (subject.tenant.value, job_id))
        if row is not None and row.result.get("report"):
            row.result = {**row.result, "report": report_without(row.result["report"], subject.user_id)[0]}


def _error_without(error: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Values are cut in reports, so a long id may be there in part."""
    short = user_id[:MAX_VALUE_CHARACTERS]
    if normalise_id(error.get(USER) or "") in (user_id, short):
        error = {**error, USER: None, "value": None}
    if isinstance(value := error.get("value"), str) and (normalise_id(value) == short or names_user(value, user_id)):
        error = {**error, "value": None}
    if names_user(error["error"], user_id):
        error = {**error, "error": without_user(error["error"], user_id)}
    return error

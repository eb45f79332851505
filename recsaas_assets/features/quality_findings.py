"""Findings on a tenant's data quality: one per question, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resources.training.readiness import Readiness
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.quality import (
    MAX_FRESHNESS_HOURS,
    MAX_UNKNOWN_ITEM_SHARE,
    MIN_COMPLETENESS,
    MIN_UNIQUENESS,
    MIN_VALIDITY,
)
from resources.uploads.tenant_quality import MeasuredUpload, TenantQuality

Figure = float | int | str

QUESTIONS = {
    "data_is_complete": "The newest uploads fill in the optional columns.",
    "data_is_valid": "The newest uploads keep the contract.",
    "data_is_unique": "The newest uploads bring new rows.",
    "data_is_fresh": "The newest interaction is from the last week.",
    "data_volume_is_usual": "The newest uploads are as large as the tenant's uploads usually are.",
    "items_are_known": "The catalogue has the items of the newest interactions.",
    "ids_match": "Interactions name items and users as the files of items and users do.",
    "data_is_usable": "Every stored row keeps the contract as it is today.",
    "enough_to_train": "There is enough data for recommendations that can be trusted.",
}


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """The answer to one of `QUESTIONS`, with the figures it rests on."""

    name: str
    passed: bool
    description: str
    figures: dict[str, Figure]


def findings(quality: TenantQuality, readiness: Readiness) -> tuple[QualityFinding, ...]:
    """Answer every question, in the order of `QUESTIONS`. Older uploads are history: nobody can mend them now."""
    newest = [upload for kind in Kind if (upload := quality.newest(kind)) is not None]
    return (
        _by_upload(
            "data_is_complete",
            newest,
            lambda u: u.quality.completeness,
            bad=lambda share: share < MIN_COMPLETENESS,
            words="of the optional values of {} are filled in; add the columns to the export if the shop has them",
        ),
        _by_upload(
            "data_is_valid",
            newest,
            lambda u: u.quality.validity,
            bad=lambda share: share < MIN_VALIDITY,
            words="of the rows of {} keep the contract; correct the rejected rows and upload them alone",
        ),
        _by_upload(
            "data_is_unique",
            newest,
            lambda u: u.quality.uniqueness,
            bad=lambda share: share < MIN_UNIQUENESS,
            words="of the rows of {} are new; send only what is new since the last upload",
        ),
        _fresh(quality),
        _usual(newest),
        _by_upload(
            "items_are_known",
            newest,
            lambda u: u.quality.unknown_item_share,
            bad=lambda share: share > MAX_UNKNOWN_ITEM_SHARE,
            words="of the items of {} are not in the catalogue and cannot be recommended; upload the current items",
        ),
        _matching(quality),
        _usable(quality),
        _ready(readiness),
    )


def _by_upload(
    name: str,
    uploads: list[MeasuredUpload],
    value: Callable[[MeasuredUpload], float | None],
    *,
    bad: Callable[[float], bool],
    words: str,
) -> QualityFinding:
    measured = [(upload, share) for upload in uploads if (share := value(upload)) is not None]
    wrong = [f"{share:.1%} {words.format(upload.upload_id)}." for upload, share in measured if bad(share)]
    figures: dict[str, Figure] = {f"{upload.kind.value}_share": round(share, 4) for upload, share in measured}
    return QualityFinding(name, not wrong, " ".join(wrong), figures)


def _fresh(quality: TenantQuality) -> QualityFinding:
    hours = quality.summary.freshness_hours
    if hours is None:
        return QualityFinding(
            "data_is_fresh", False, "There are no interactions yet; upload some, or track events.", {}
        )
    passed = hours <= MAX_FRESHNESS_HOURS
    why = f"The newest interaction is {hours / 24:,.0f} days old; upload newer ones, or track events as they happen."
    return QualityFinding("data_is_fresh", passed, "" if passed else why, {"freshness_hours": hours})


def _usual(uploads: list[MeasuredUpload]) -> QualityFinding:
    wrong = [
        f"{u.upload_id} has {u.quality.volume.reason}; check that the export is whole and not doubled."
        for u in uploads
        if u.quality.volume.anomaly
    ]
    figures: dict[str, Figure] = {f"{u.kind.value}_rows": u.rows_total for u in uploads}
    figures |= {f"{u.kind.value}_usual_rows": u.quality.volume.usual for u in uploads if u.quality.volume.usual}
    return QualityFinding("data_volume_is_usual", not wrong, " ".join(wrong), figures)


def _matching(quality: TenantQuality) -> QualityFinding:
    wrong = quality.unmatched_ids
    figures: dict[str, Figure] = {f"unmatched_{each.column}s": each.count for each in wrong}
    return QualityFinding("ids_match", not wrong, " ".join(each.message for each in wrong), figures)


def _usable(quality: TenantQuality) -> QualityFinding:
    rows = {upload.upload_id: upload.rows_left_out for upload in quality.uploads if upload.rows_left_out}
    why = f"{sum(rows.values()):,} stored rows break the contract and are left out (of {', '.join(list(rows)[:5])}). "
    why += "stg_rejected says why; send them again as docs/data.md says, or delete them."
    return QualityFinding("data_is_usable", not rows, why if rows else "", {"rows_left_out": sum(rows.values())})


def _ready(readiness: Readiness) -> QualityFinding:
    figures: dict[str, Figure] = {**readiness.counts.model_dump(), "level": readiness.level}
    if not readiness.missing:
        return QualityFinding("enough_to_train", True, "", figures)
    why = (
        f"The data is {readiness.level.replace('_', ' ')}. For {readiness.next_level}: {'; '.join(readiness.missing)}."
    )
    return QualityFinding("enough_to_train", False, why, figures)

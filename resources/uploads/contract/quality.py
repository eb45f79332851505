"""How good one upload is, in figures and in words, measured against the contract and the tenant's own history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import mean, median
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from resources.control_db.uploads import UploadRecord
from resources.uploads.contract.columns import Kind

if TYPE_CHECKING:  # the report may carry its quality
    from resources.uploads.contract.report import UploadReport

# `available` and `deleted` have defaults and `rating` belongs to one type only: empty, they lack nothing.
OPTIONAL_COLUMNS: dict[Kind, tuple[str, ...]] = {
    Kind.ITEMS: ("category", "brand", "description", "image_url", "tags", "price", "created_at"),
    Kind.USERS: (),
    Kind.INTERACTIONS: ("duration_seconds", "quantity", "price", "session_id", "event_id"),
}

MIN_COMPLETENESS = 0.2
"""Below this share of filled optional values, filters and lists by category have little to go on."""
MIN_VALIDITY = 0.95
"""A person should look when more than one row in twenty is rejected: it is a wrong export, not a few typing errors."""
MIN_UNIQUENESS = 0.5
"""More repeated rows than new ones: the shop sends its whole history again."""
MAX_FRESHNESS_HOURS = 168.0
"""A week: recent popularity halves in days, so older data recommends last season."""
MAX_UNKNOWN_ITEM_SHARE = 0.1
"""Items without a catalogue row train the model and are never served; above a tenth the catalogue is out of date."""

HISTORY_UPLOADS = 30
"""Only the newest uploads of a kind say what is usual; a shop grows."""
MIN_HISTORY_UPLOADS = 5
"""With fewer uploads nothing is usual yet."""
VOLUME_FACTOR = 3.0
VOLUME_SPREADS = 5.0
_MAD_TO_SIGMA = 1.4826


class UploadVolume(BaseModel):
    """Rows of an upload against the tenant's earlier uploads of the kind. `usual` is their median, null without any."""

    model_config = ConfigDict(frozen=True)

    rows: int
    usual: float | None
    ratio: float | None
    anomaly: bool
    reason: str = ""


class UploadQuality(BaseModel):
    """Quality of one upload. Shares are 0 to 1, and null where there is nothing to take a share of.

    `completeness` is the mean over the optional columns of the share of accepted rows with a value; `validity` the
    share of rows that broke no rule; `uniqueness` the share of valid rows that were not there already;
    `unknown_item_share` the share of its different items that the catalogue lacks; `freshness_hours` the age of its
    newest interaction. `warnings` say what a person should look at, and what to do.
    """

    model_config = ConfigDict(frozen=True)

    completeness: float | None
    completeness_by_column: dict[str, float]
    validity: float | None
    uniqueness: float | None
    freshness_hours: float | None
    unknown_item_share: float | None
    volume: UploadVolume
    warnings: tuple[str, ...] = ()


def upload_quality(report: UploadReport, earlier: Sequence[UploadRecord], *, now: datetime) -> UploadQuality:
    """Measure a report; `earlier` are the tenant's uploads, of any kind, the upload itself may be among them."""
    statistics = report.statistics
    by_column = {
        name: share for name, share in statistics.completeness.items() if name in OPTIONAL_COLUMNS[report.kind]
    }
    newest = statistics.last_timestamp
    history = [_rows(record) for record in earlier if _before(record, report)]
    quality = UploadQuality(
        completeness=mean(by_column.values()) if by_column else None,
        completeness_by_column=by_column,
        validity=_share(report.rows_accepted + report.rows_duplicate, report.rows_total),
        uniqueness=_share(report.rows_accepted, report.rows_accepted + report.rows_duplicate),
        freshness_hours=None if newest is None else max(0.0, (now - newest).total_seconds() / 3600),
        unknown_item_share=(
            None if statistics.unknown_items is None else _share(statistics.unknown_items, statistics.unique_items)
        ),
        volume=volume_of(report.rows_total, history),
    )
    return with_warnings(quality, report.kind)


def with_warnings(quality: UploadQuality, kind: Kind) -> UploadQuality:
    """Add what a person should look at."""
    return quality.model_copy(update={"warnings": _warnings(quality, kind)})


def volume_of(rows: int, history: Sequence[int]) -> UploadVolume:
    """Compare a number of rows with those of earlier uploads, oldest first.

    An anomaly lies beyond a factor of three from the median *and* more than five spreads (median absolute deviation,
    scaled to a standard deviation) away from it: the factor keeps shops that send alike files every day from being
    warned about one row more, the spread keeps shops that send files of every size from being warned at all.
    """
    recent = history[-HISTORY_UPLOADS:]
    if not recent:
        return UploadVolume(rows=rows, usual=None, ratio=None, anomaly=False)
    usual = float(median(recent))
    ratio = rows / usual if usual else None
    volume = UploadVolume(rows=rows, usual=usual, ratio=ratio, anomaly=False)
    if len(recent) < MIN_HISTORY_UPLOADS:
        return volume
    spread = _MAD_TO_SIGMA * median(abs(each - usual) for each in recent)
    beyond_factor = rows * VOLUME_FACTOR < usual or rows > usual * VOLUME_FACTOR
    if not beyond_factor or abs(rows - usual) <= VOLUME_SPREADS * spread:
        return volume
    side = "fewer" if rows < usual else "more"
    reason = f"{rows:,} rows are far {side} than usual: the last {len(recent)} uploads had {usual:,.0f} in the middle"
    return volume.model_copy(update={"anomaly": True, "reason": reason})


def _before(record: UploadRecord, report: UploadReport) -> bool:
    return record.kind == report.kind.value and record.upload_id != report.upload_id


def _rows(record: UploadRecord) -> int:
    return record.rows_accepted + record.rows_rejected + record.rows_duplicate


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _warnings(quality: UploadQuality, kind: Kind) -> tuple[str, ...]:
    found = []
    if quality.validity is not None and quality.validity < MIN_VALIDITY:
        found.append(
            f"{1 - quality.validity:.1%} of the rows broke a rule. "
            "Download the rejected rows, correct them, and upload them alone."
        )
    if quality.uniqueness is not None and quality.uniqueness < MIN_UNIQUENESS:
        found.append(
            f"{1 - quality.uniqueness:.1%} of the valid rows were there already and are kept once. "
            "Send only what is new since the last upload."
        )
    if quality.completeness is not None and quality.completeness < MIN_COMPLETENESS:
        emptiest = sorted(OPTIONAL_COLUMNS[kind], key=lambda name: quality.completeness_by_column.get(name, 0.0))[:3]
        found.append(
            f"Only {quality.completeness:.1%} of the optional values are filled in. "
            f"Add columns such as {', '.join(emptiest)} to the export if the shop has them."
        )
    if quality.unknown_item_share is not None and quality.unknown_item_share > MAX_UNKNOWN_ITEM_SHARE:
        found.append(
            f"{quality.unknown_item_share:.1%} of the items are not in the catalogue and cannot be recommended. "
            "Upload the current items file."
        )
    if quality.freshness_hours is not None and quality.freshness_hours > MAX_FRESHNESS_HOURS:
        found.append(
            f"The newest interaction is {quality.freshness_hours / 24:,.0f} days old. "
            "Upload newer interactions, or track events as they happen."
        )
    if quality.volume.anomaly:
        found.append(f"{quality.volume.reason}. Check that the {kind.value} export is whole and not doubled.")
    return tuple(found)

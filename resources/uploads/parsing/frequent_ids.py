"""Ids that stand for suspiciously many rows: found in a sample of each part, and counted only where it shows one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from resources.base.ids import doubtful_words
from resources.uploads.contract.findings import MAX_EXAMPLES, Finding

MIN_ROWS = 20
"""In fewer rows everybody is frequent."""
MIN_SHARE, MIN_TIMES = 0.05, 10
"""A dominant id has more than this share of the rows, and so many times as many as the next."""
_SAMPLE = 4096
_WORTH_COUNTING = MIN_SHARE / 2
_LISTED = 20
_MIN_SHARE_OF_NUMBERS = 0.01
"""Of the ids 0 and -1: a shop that counts from nought has them, too."""
_EMAIL = r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"


@dataclass(frozen=True, slots=True)
class IdCounts:
    """Counts of one column of ids in a part of so many `rows`.

    `frequent` are the most frequent ids if one has a share that is worth counting, `doubtful` those that often stand
    for nobody; `emails` counts e-mail addresses.
    """

    rows: int
    frequent: dict[str, int]
    doubtful: dict[str, int]
    emails: int


def count_ids(ids: pl.Series) -> IdCounts:
    """Count the ids (String, no nulls) of a part."""
    rows = ids.len()
    sample = ids.gather_every(max(1, rows // _SAMPLE))
    frequent = _most_frequent(sample)
    if rows > _SAMPLE and frequent:
        worth = max(frequent.values()) > _WORTH_COUNTING * sample.len()
        frequent = _most_frequent(ids) if worth else {}
    doubtful = ids.filter(ids.is_in(list(doubtful_words())))
    emails = int(ids.str.contains(_EMAIL).sum()) if sample.str.contains("@", literal=True).any() else 0
    return IdCounts(rows, frequent, _most_frequent(doubtful), emails)


def findings_of_ids(column: str, parts: Sequence[IdCounts]) -> tuple[Finding, ...]:
    """What the counts of all parts of a file say."""
    rows = sum(part.rows for part in parts)
    frequent, doubtful = Counter[str](), Counter[str]()
    for part in parts:
        frequent.update(part.frequent)
        doubtful.update(part.doubtful)
    found = []
    dominant = dominant_id(frequent, rows)
    if dominant is not None:
        found.append(Finding("id_dominant", column, frequent[dominant], (dominant,)))
    certain = {
        each: count
        for each, count in doubtful.items()
        if each != dominant and (not each.lstrip("-").isdigit() or count >= rows * _MIN_SHARE_OF_NUMBERS)
    }
    if certain:
        found.append(Finding("id_doubtful", column, sum(certain.values()), tuple(certain)[:MAX_EXAMPLES]))
    emails = sum(part.emails for part in parts)
    if emails and column == "user_id":
        found.append(Finding("id_email", column, emails))  # without examples: they would be stored once more
    return tuple(found)


def dominant_id(counts: Counter[str], rows: int) -> str | None:
    """The id that has far too many of these rows; None when there is none."""
    ranked = counts.most_common(2)
    if rows < MIN_ROWS or not ranked:
        return None
    first, most = ranked[0]
    following = ranked[1][1] if len(ranked) > 1 else 0
    return first if most > MIN_SHARE * rows and most >= MIN_TIMES * following else None


def _most_frequent(ids: pl.Series) -> dict[str, int]:
    counts = ids.alias("id").value_counts(sort=True).head(_LISTED)
    return dict(zip(counts["id"].to_list(), counts["count"].to_list(), strict=True))

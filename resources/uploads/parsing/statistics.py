"""What the accepted rows contain, counted a part at a time and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from resources.uploads.contract.columns import DELETED, Kind, columns
from resources.uploads.contract.findings import MAX_EXAMPLES, Finding
from resources.uploads.contract.report import UploadStatistics
from resources.uploads.parsing.frequent_ids import IdCounts, count_ids, findings_of_ids
from resources.uploads.parsing.hashing import Hashes, hash_columns

_PERSONAL = (
    *("email", "phone", "mobile", "telefon", "firstname", "lastname", "fullname", "surname", "givenname"),
    *("vorname", "nachname", "street", "address", "birth", "geburt", "passport", "ipaddress"),
)
_COUNTED = {Kind.INTERACTIONS: ("user_id", "item_id"), Kind.USERS: ("user_id",), Kind.ITEMS: ()}


@dataclass(frozen=True, slots=True)
class PartSummary:
    """Figures of one part. Deletions are only counted: all other figures are of the other rows.

    `users` and `items` are the different ids as hashes, sorted; `filled` counts the values of the optional columns;
    `ids` are counts of the ids of interactions, by column.
    """

    rows: int
    deletions: int
    users: Hashes
    items: Hashes
    types: dict[str, int]
    first: datetime | None
    last: datetime | None
    filled: dict[str, int]
    ids: dict[str, IdCounts]


def summarise(kind: Kind, frame: pl.DataFrame) -> PartSummary:
    """Count what accepted rows contain."""
    deletions = int(frame[DELETED].sum())
    rows = frame.filter(~pl.col(DELETED)) if deletions else frame
    types: dict[str, int] = {}
    first = last = None
    if kind is Kind.INTERACTIONS:
        types = dict(rows.group_by("interaction_type").len().iter_rows())
        first, last = rows.select(first=pl.col("timestamp").min(), last=pl.col("timestamp").max()).row(0)
    return PartSummary(
        rows=rows.height,
        deletions=deletions,
        users=_different(rows, "user_id"),
        items=_different(rows, "item_id"),
        types=types,
        first=first,
        last=last,
        filled={name: rows.height - rows[name].null_count() for name in _optional(kind)},
        ids={name: count_ids(rows[name]) for name in _COUNTED[kind]},
    )


def frequent_ids(summaries: Sequence[PartSummary]) -> tuple[Finding, ...]:
    """What the ids of all parts say."""
    names = summaries[0].ids if summaries else ()
    return tuple(found for name in names for found in findings_of_ids(name, [each.ids[name] for each in summaries]))


def personal_columns(headers: Mapping[str, str]) -> tuple[Finding, ...]:
    """Columns beyond the contract that say who somebody is, by our names of them and the file's."""
    found = [header for name, header in headers.items() if name.startswith("extra_") and _is_personal(header)]
    return (Finding("personal_columns", None, len(found), tuple(found[:MAX_EXAMPLES])),) if found else ()


def _is_personal(header: str) -> bool:
    words = "".join(letter for letter in header.lower() if letter.isalpha())
    return any(word in words for word in _PERSONAL) or words in ("name", "adresse", "iban", "ip")


def hashed_ids(ids: pl.Series, column: str) -> Hashes:
    """Return the hashes of the different ids, shape (n_ids,), as `PartSummary` holds them."""
    return _different(ids.alias(column).to_frame(), column)


def add_up(kind: Kind, summaries: Sequence[PartSummary], catalogue: Hashes | None) -> UploadStatistics:
    """Add up the parts.

    `catalogue` (hashes, shape (n_items,)) holds the tenant's items; with it, `unknown_items` counts those it lacks.
    """
    rows = sum(each.rows for each in summaries)
    types = Counter[str]()
    for each in summaries:
        types.update(each.types)
    items = _union([each.items for each in summaries])
    unknown = None
    if catalogue is not None and kind is Kind.INTERACTIONS:
        unknown = int((~np.isin(items, catalogue)).sum())
    filled = {name: sum(each.filled[name] for each in summaries) / rows for name in _optional(kind)} if rows else {}
    return UploadStatistics(
        unique_users=len(_union([each.users for each in summaries])),
        unique_items=len(items),
        unknown_items=unknown,
        interaction_types=dict(sorted(types.items(), key=lambda pair: (-pair[1], pair[0]))),
        first_timestamp=min((each.first for each in summaries if each.first), default=None),
        last_timestamp=max((each.last for each in summaries if each.last), default=None),
        deletions=sum(each.deletions for each in summaries),
        completeness=filled,
    )


def _optional(kind: Kind) -> tuple[str, ...]:
    return tuple(spec.name for spec in columns(kind) if not spec.required and spec.name != DELETED)


def _different(rows: pl.DataFrame, column: str) -> Hashes:
    if column not in rows.columns:
        return np.zeros(0, dtype=np.uint64)
    # Unique as hashes: a third of the time of unique texts, and 8 bytes each.
    return np.sort(pl.Series(hash_columns(rows, [column])).unique().to_numpy())


def _union(hashes: Sequence[Hashes]) -> Hashes:
    if len(hashes) == 1:
        return hashes[0]
    together = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)
    together.sort()
    return together[np.concatenate([[True], together[1:] != together[:-1]])] if len(together) else together

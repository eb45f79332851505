"""Rows that repeat each other or what is stored. Only valid rows are compared, so validity never depends on order.

A deletion repeats nothing and nothing repeats a deletion: what it takes away may have come again in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resources.uploads.checking.inspect import Inspection
from resources.uploads.contract.columns import DELETED, Kind
from resources.uploads.deduplication.earlier import EarlierRows
from resources.uploads.deduplication.entries import ENTRY, Entries
from resources.uploads.deduplication.pairs import OWN_FILE, Mask, PairFiles, PairRows, compare

CONFLICT = np.dtype([("row", "<i8"), ("first_row", "<i8")])


@dataclass(frozen=True, slots=True)
class Repeats:
    """`gone` says for each line whether its row is to be left out (Boolean, shape (last line + 1,)).

    `duplicates` of the rows that are gone say what an earlier one says. The others are `conflicts`, to be rejected:
    they have the id of the row on the line `first_row`, or for 0 of a row that is stored, and say something else (type
    `CONFLICT`, sorted by `row`). The id is the `event_id` of interactions.
    `variants`, of the same type, are duplicates that have something to add to the row on the line `first_row`.
    """

    gone: Mask
    duplicates: int
    conflicts: npt.NDArray[np.void]
    variants: npt.NDArray[np.void]


def find_repeats(inspection: Inspection, earlier: EarlierRows, *, work: Path) -> Repeats:
    """Find the rows that repeat an earlier one of the file, or a stored one.

    Interactions repeat one that has their `event_id`, user, item and type; one that has their `event_id` and another
    user, item or type is a conflict. Of the others, those equal in user, item, type and timestamp are one: quantity,
    price and the other columns do not count, so two equal lines of one basket are one interaction. Items and users
    repeat a row of the file with their id and the same contents, or the newest stored row of their id when it has the
    same contents. In a file where several rows describe one item, those are variants.
    """
    kind, files = inspection.kind, [part.path for part in inspection.valid]
    gone = np.zeros(max(part.last_row for part in inspection.valid) + 1, dtype=bool)
    conflicts: list[npt.NDArray[np.void]] = []
    for name, entries in (("event", inspection.by_event), ("key", inspection.by_key)):
        pairs = PairFiles(work, f"pairs-{name}")
        for bucket in entries.buckets:
            if earlier.nothing and entries.all_differ(bucket):
                continue
            firsts = _first_of_each(entries.read(bucket), gone, pairs)
            if len(firsts):
                for rows, sources, their_rows in earlier.search(firsts):
                    pairs.add(rows, sources, their_rows)
        for window in pairs.windows():
            equal = compare(kind, window, files, earlier.files)
            if kind is Kind.INTERACTIONS and name == "key":
                gone[window["row"][equal.key]] = True
                continue
            if name == "event":
                same, other = equal.other & equal.content, equal.other & ~equal.content
            else:
                same, other = equal.key & equal.other, equal.key & ~equal.other & (window["source"] == OWN_FILE)
            gone[window["row"][same | other]] = True
            conflicts.append(_conflicts(window[other]))
    nothing = np.zeros(0, dtype=CONFLICT)
    found = np.concatenate(conflicts) if conflicts else nothing
    conflicting, variants = (nothing, found) if inspection.several_rows else (found, nothing)
    gone[variants["first_row"]] = False  # a stored row is equal to the first one, and not to all of them together
    return Repeats(gone, int(gone.sum()) - len(conflicting), conflicting, variants)


def _first_of_each(chunks: Iterator[Entries], gone: Mask, pairs: PairFiles) -> Entries:
    """Return the first entry of each hash, sorted by hash, and note every later one as a pair with the first."""
    firsts = np.zeros(0, dtype=ENTRY)
    for chunk in chunks:
        left_out = chunk[DELETED] | gone[chunk["row"]]
        entries = chunk[~left_out] if left_out.any() else chunk
        entries = np.concatenate([firsts, entries]) if len(firsts) else entries
        entries = entries[np.argsort(entries["hash"])]
        starts = np.flatnonzero(np.concatenate([[True], entries["hash"][1:] != entries["hash"][:-1]]))
        if len(starts) < len(entries):
            first_row = np.minimum.reduceat(entries["row"], starts)
            first_row = np.repeat(first_row, np.diff(starts, append=len(entries)))
            later = entries["row"] != first_row
            pairs.add(entries["row"][later], OWN_FILE, first_row[later])
            entries = entries[~later]
        firsts = entries
    return firsts


def _conflicts(pairs: PairRows) -> npt.NDArray[np.void]:
    """One conflict for each row of these pairs, with a row of the same file if there is one."""
    found = np.empty(len(pairs), dtype=CONFLICT)
    found["row"] = pairs["row"]
    found["first_row"] = np.where(pairs["source"] == OWN_FILE, pairs["their_row"], 0)
    found = found[np.lexsort((-found["first_row"], found["row"]))]
    return found[np.concatenate([[True], found["row"][1:] != found["row"][:-1]])] if len(found) else found

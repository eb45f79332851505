"""Verifying a chain of the audit log, from entry to entry: whether it is unbroken, and if not where, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session, make_transient

from resources.audit.entries import NOTHING_BEFORE, hash_of
from resources.base.errors import InvalidInput
from resources.control_db.tables.audit import AuditHeadRow, AuditRow

Damage = Literal["changed", "removed", "inserted", "swapped", "cut off", "no head"]
_BATCH = 2000
_NO_HEADS: Mapping[int, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """The first place at which a chain is broken.

    `expected` is the hash that ought to stand there, by its neighbours, by the head or by an exported head; `found` the
    one that stands there or results from what stands there. `message` says it for a person.
    """

    number: int
    damage: Damage
    expected: str | None
    found: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of verifying a chain: `first` and `last` are the numbers of its entries, 0 where there is none.

    `heads` is how many exported heads were compared. It is `whole` when the walk came to the head of the chain, or to a
    break; else it goes on behind `last`, where the hash is `head`.
    """

    chain: str
    entries: int
    first: int
    last: int
    head: str
    heads: int
    whole: bool
    broken: Break | None

    @property
    def unbroken(self) -> bool:
        """Whether nothing was found."""
        return self.broken is None


@dataclass(slots=True)
class _Walk:
    """How far a walk is: the number and the hash of the entry before the next one."""

    number: int
    hash: str
    entries: int = 0
    heads: int = 0


def verify_chain(
    session: Session,
    chain: str,
    *,
    exported: Mapping[int, tuple[str, ...]] = _NO_HEADS,
    after: int = 0,
    most: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Walk a chain from its oldest entry to its head, as this transaction sees it.

    Args:
        after: begin behind this entry, which an earlier walk has verified.
        most: stop after about so many entries; None: at the end.
        exported: hashes of entries by their numbers, as files of heads have them (`resources.audit.keeping.heads`).
            Two hashes of one entry are a break.
        on_progress: told how many entries are verified, and how many there are by the head.
    """
    head = session.get(AuditHeadRow, chain)
    walk = _Walk(head.removed_until, head.removed_hash) if head else _Walk(0, NOTHING_BEFORE)
    if after > walk.number:
        walk = _behind(session, chain, after)
    first, whole = walk.number + 1, False
    broken: Break | None = None
    for batch in _batches(session, chain, after):
        broken = broken or _walk_batch(session, walk, batch, exported, last=head.number if head else None)
        session.expunge_all()
        if broken is not None:
            break
        if on_progress is not None:
            on_progress(walk.entries, head.number - head.removed_until if head else walk.entries)
        if most is not None and walk.entries >= most and head is not None and walk.number < head.number:
            break
    else:
        broken, whole = _end(session, walk, chain, head, exported), True
    return Verification(
        chain=chain,
        entries=walk.entries,
        first=first if walk.entries else 0,
        last=walk.number if walk.entries else 0,
        head=walk.hash,
        heads=walk.heads,
        whole=whole or broken is not None,
        broken=broken,
    )


def _behind(session: Session, chain: str, number: int) -> _Walk:
    """Where a walk goes on that has come as far as an entry."""
    entry = (AuditRow.chain == chain, AuditRow.number == number)
    hash = session.scalars(select(AuditRow.hash).where(*entry)).one_or_none()
    if hash is None:
        raise InvalidInput(f"There is no entry {number} in this chain of the audit log; begin without `after`.")
    return _Walk(number, hash)


def _batches(session: Session, chain: str, begin: int) -> Iterator[Sequence[AuditRow]]:
    after = begin or None  # somebody may have put an entry before the first one
    while True:
        of_chain = [AuditRow.chain == chain] if after is None else [AuditRow.chain == chain, AuditRow.number > after]
        rows = session.scalars(select(AuditRow).where(*of_chain).order_by(AuditRow.number).limit(_BATCH)).all()
        if not rows:
            return
        after = rows[-1].number
        yield rows


def _walk_batch(
    session: Session,
    walk: _Walk,
    rows: Sequence[AuditRow],
    exported: Mapping[int, tuple[str, ...]],
    *,
    last: int | None,
) -> Break | None:
    for row in rows:
        computed = hash_of(row)
        fits = row.number == walk.number + 1 and row.previous == walk.hash and computed == row.hash
        if not fits or (last is not None and row.number > last):
            return _found(session, walk, row, computed, last)
        if row.number in exported:
            walk.heads += 1
            other = next((hash for hash in exported[row.number] if hash != row.hash), None)
            if other is not None:
                return Break(
                    number=row.number,
                    damage="changed",
                    expected=other,
                    found=row.hash,
                    message=f"Entry {row.number} or one before it was changed, and the chain was made anew from there: "
                    "a head that was exported has another hash.",
                )
        walk.number, walk.hash = row.number, row.hash
        walk.entries += 1
    return None


def _found(session: Session, walk: _Walk, row: AuditRow, computed: str, last: int | None) -> Break:
    """Say what was done where an entry does not go on from the one before it."""
    number, expected = row.number, walk.number + 1
    if number > expected:
        gone = f"entry {expected}" if number == expected + 1 else f"entries {expected} to {number - 1}"
        return Break(
            number=expected,
            damage="removed",
            expected=row.previous,
            found=None,
            message=f"Removed: {gone}. Entry {number} goes on from a hash that no entry has.",
        )
    if number < expected or (last is not None and number > last):
        where = "behind the head" if number >= expected else "before the oldest entry"
        return Break(
            number=number,
            damage="inserted",
            expected=None,
            found=row.hash,
            message=f"Entry {number} was inserted {where}.",
        )
    return _in_its_place(session, walk, row, computed)


def _in_its_place(session: Session, walk: _Walk, row: AuditRow, computed: str) -> Break:
    """Of an entry whose number is right: was it changed, moved, or did somebody put another one in between?"""
    number = row.number
    following = session.scalars(
        select(AuditRow)
        .where(AuditRow.chain == row.chain, AuditRow.number > number)
        .order_by(AuditRow.number)
        .limit(_BATCH)
    ).all()
    if computed == row.hash:  # it is whole, so the one before it was replaced by another
        return Break(
            number=walk.number,
            damage="changed",
            expected=row.previous,
            found=walk.hash,
            message=f"Entry {walk.number} was changed together with its hash: entry {number} goes on from another one.",
        )
    other = _swapped(row, following)
    if other is None and _as_number(row, number - 1) == row.hash:
        return _shifted(number - 1, "inserted", row, walk)
    if other is None and following and _as_number(following[0], number) == following[0].hash:
        return _shifted(number, "inserted", row, walk)
    if other is None and _as_number(row, number + 1) == row.hash:
        return _shifted(number, "removed", row, walk)
    if other is not None:
        return Break(
            number=number,
            damage="swapped",
            expected=computed,
            found=row.hash,
            message=f"Entries {number} and {other} were swapped.",
        )
    return Break(
        number=number,
        damage="changed",
        expected=row.hash,
        found=computed,
        message=f"Entry {number} was changed after it was written: what stands there has another hash.",
    )


def _shifted(number: int, damage: Literal["inserted", "removed"], row: AuditRow, walk: _Walk) -> Break:
    later = "later" if damage == "inserted" else "earlier"
    return Break(
        number=number,
        damage=damage,
        expected=walk.hash,
        found=row.previous,
        message=f"Entry {number} was {damage}, and those behind it got the number {later} by one.",
    )


def _swapped(row: AuditRow, following: Sequence[AuditRow]) -> int | None:
    """The number of the entry that this one changed places with: by their numbers, or by what they say."""
    for other in following:
        if _as_number(row, other.number) == row.hash and _as_number(other, row.number) == other.hash:
            return int(other.number)
        if _as_number(row, other.number, previous=other.previous) == other.hash:
            return int(other.number)
    return None


def _as_number(row: AuditRow, number: int, *, previous: str | None = None) -> str:
    """The hash that an entry would have with another number."""
    make_transient(row)  # what is tried here goes back into no database
    kept = row.number, row.previous
    row.number, row.previous = number, row.previous if previous is None else previous
    tried = hash_of(row)
    row.number, row.previous = kept
    return tried


def _end(
    session: Session, walk: _Walk, chain: str, head: AuditHeadRow | None, exported: Mapping[int, tuple[str, ...]]
) -> Break | None:
    for number, (first, *others) in sorted(exported.items()):
        if others:  # of an entry that is gone, or was verified before: the walk has come by all the others
            return Break(
                number=number,
                damage="changed",
                expected=first,
                found=others[0],
                message=f"Exported heads contradict each other: they have two hashes for entry {number}.",
            )
    newest = max(exported, default=0)
    if newest > walk.number:
        return Break(
            number=walk.number + 1,
            damage="cut off",
            expected=exported[newest][0],
            found=walk.hash,
            message=f"The newest entries are cut off: the chain ends at {walk.number}, and an exported head is of "
            f"entry {newest}.",
        )
    if head is None:
        if not walk.number:
            return None
        return Break(
            number=walk.number,
            damage="no head",
            expected=None,
            found=walk.hash,
            message=f"The head of the chain is gone; its newest entry is {walk.number}.",
        )
    if (head.number, head.hash) != (walk.number, walk.hash):
        return Break(
            number=walk.number + 1,
            damage="cut off",
            expected=head.hash,
            found=walk.hash,
            message=f"The newest entries are cut off: the chain ends at {walk.number}, and its head is of entry "
            f"{head.number}.",
        )
    return _anchor(session, chain, head)


def _anchor(session: Session, chain: str, head: AuditHeadRow) -> Break | None:
    """The oldest entries may be gone because of their age, and then an entry says so."""
    if not head.removed_until:
        return None
    noted: Mapping[str, Any] | None = session.scalars(
        select(AuditRow.after)
        .where(AuditRow.chain == chain, AuditRow.action == "audit.expire")
        .order_by(AuditRow.number.desc())
        .limit(1)
    ).first()
    noted = noted or {}
    said = noted.get("removed_until"), noted.get("last_sha256")
    if said == (head.removed_until, head.removed_hash):
        return None
    return Break(
        number=head.removed_until,
        damage="removed",
        expected=said[1],
        found=head.removed_hash,
        message=f"Entries up to {head.removed_until} are gone, and no entry says that they were removed for their age.",
    )

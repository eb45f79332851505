"""Heads of all chains, written down each day outside of the database: what a chain alone cannot show.

Whoever can write the whole database can cut off the newest entries, or make a chain anew from any entry on. A head that
was written down before that is of an entry which is then gone, or has another hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from sqlalchemy import select
from upath import UPath

from resources.base.errors import CorruptArtifact
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditHeadRow
from resources.storage.lake import read_bytes, write_bytes_if_unchanged
from resources.storage.listing import list_files, stored_file

_NAME = re.compile(r"heads-\d{4}-\d{2}-\d{2}\.json")


class Head(BaseModel):
    """The newest entry of a chain: its number, and its SHA-256 in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    hash: str


class Heads(BaseModel):
    """The heads of all chains at one time, by the name of the chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    written_at: AwareDatetime
    heads: dict[str, Head]


def write_heads(db: ControlDb, folder: UPath, *, now: datetime) -> UPath:
    """Write `heads-YYYY-MM-DD.json` of the day of `now` (UTC); one that is there stays as it is. Returns its path.

    Raises:
        Conflict: another machine has written it at this moment.
    """
    file = folder / f"heads-{now:%Y-%m-%d}.json"
    if stored_file(file) is not None:
        return file
    with db.read() as session:
        heads = {
            row.chain: Head(number=row.number, hash=row.hash)
            for row in session.scalars(select(AuditHeadRow).order_by(AuditHeadRow.chain))
        }
    data = Heads(written_at=now, heads=heads).model_dump_json(indent=2).encode() + b"\n"
    write_bytes_if_unchanged(file, data, None)
    return file


def read_heads(folder: UPath, chain: str) -> Mapping[int, tuple[str, ...]]:
    """Return the hashes of a chain that were written down, by number; more than one where two files contradict.

    Raises:
        CorruptArtifact: a file of heads cannot be read.
    """
    return _by_number(heads.heads[chain] for heads in _files(folder) if chain in heads.heads)


def read_all_heads(folder: UPath) -> Mapping[str, Mapping[int, tuple[str, ...]]]:
    """As `read_heads`, of every chain by its name.

    Raises:
        CorruptArtifact: a file of heads cannot be read.
    """
    found: dict[str, list[Head]] = {}
    for heads in _files(folder):
        for chain, head in heads.heads.items():
            found.setdefault(chain, []).append(head)
    return {chain: _by_number(heads) for chain, heads in found.items()}


def _by_number(heads: Iterable[Head]) -> Mapping[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for head in heads:
        known = found.get(head.number, ())
        if head.number and head.hash not in known:
            found[head.number] = (*known, head.hash)
    return found


def _files(folder: UPath) -> Iterator[Heads]:
    """What was written down, day by day."""
    for file in sorted(list_files(folder), key=lambda each: each.name):
        if not _NAME.fullmatch(file.name):
            continue
        try:
            yield Heads.model_validate_json(read_bytes(folder / file.name))
        except ValidationError as error:
            raise CorruptArtifact(
                f"{file.name} of the audit log's heads cannot be read. Restore it from where you keep copies, or move "
                "it away to verify without it."
            ) from error

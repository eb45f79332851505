"""Heads of all chains, written down each day outside of the database: what a chain alone cannot show.

Whoever can write the whole database can cut off the newest entries, or make a chain anew from any entry on. A head that
was written down before that is of an entry which is then gone, or has another hash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def read_heads(folder: UPath) -> Mapping[str, Mapping[int, str]]:
    """Return every hash that was written down, by chain and number.

    Raises:
        CorruptArtifact: a file of heads cannot be read, or two of them contradict each other.
    """
    found: dict[str, dict[int, str]] = {}
    for file in sorted(list_files(folder), key=lambda each: each.name):
        if not _NAME.fullmatch(file.name):
            continue
        try:
            heads = Heads.model_validate_json(read_bytes(folder / file.name))
        except ValidationError as error:
            raise CorruptArtifact(
                f"{file.name} of the audit log's heads cannot be read. Restore it from where you keep copies, or move "
                "it away to verify without it."
            ) from error
        for chain, head in heads.heads.items():
            if found.setdefault(chain, {}).setdefault(head.number, head.hash) != head.hash:
                raise CorruptArtifact(
                    f"{file.name} of the audit log's heads has another hash for entry {head.number} of {chain} than an "
                    "earlier file: one of them, or the chain, was changed."
                )
    return {chain: {number: hash for number, hash in heads.items() if number} for chain, heads in found.items()}

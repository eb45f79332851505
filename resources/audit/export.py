"""The audit log as a file: JSON lines with the hashes, which anybody can verify, or CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Literal

from resources.audit.reading import AuditEntry

AuditFormat = Literal["jsonl", "csv"]
COLUMNS = tuple(name for name in AuditEntry.__dataclass_fields__ if name != "seq")
"""Columns of the file; together without `hash` they are what the hash is of."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # as full-width signs, too
_PIECE = 200


def export_pieces(entries: Iterable[AuditEntry], format: AuditFormat) -> Iterator[bytes]:
    """Yield the file in pieces; cells of CSV that a spreadsheet would take for a formula begin with an apostrophe."""
    line = _json_line if format == "jsonl" else _csv_line
    piece = [] if format == "jsonl" else [_csv(COLUMNS)]
    for entry in entries:
        piece.append(line(entry))
        if len(piece) >= _PIECE:
            yield "".join(piece).encode()
            piece.clear()
    yield "".join(piece).encode()


def _json_line(entry: AuditEntry) -> str:
    return json.dumps(_fields(entry), ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def _csv_line(entry: AuditEntry) -> str:
    fields = _fields(entry)
    return _csv([_cell(fields[name]) for name in COLUMNS])


def _fields(entry: AuditEntry) -> dict[str, Any]:
    fields = asdict(entry)
    del fields["seq"]
    return fields | {"at": entry.at.isoformat(timespec="microseconds")}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def _csv(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()

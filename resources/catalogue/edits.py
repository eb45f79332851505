"""From what a client sends of items to edits: by the rules that files of items keep, all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
from pydantic import JsonValue

from resources.base.errors import FieldProblem, InvalidInput
from resources.catalogue.rows import FIELDS
from resources.control_db.items import ItemEdit
from resources.tenants.settings import TenantSettings
from resources.uploads.contract.columns import DELETED, Kind
from resources.uploads.normalising.columns import Reading
from resources.uploads.parsing.batch import check_batch
from resources.uploads.parsing.csv_reader import ROW_NUMBER, TextBatch
from resources.uploads.parsing.validation import rules_for

ItemFields = Mapping[str, str | float | bool | datetime | None]
"""Fields of an item by name; one that is left out is not there."""


def put_edits(items: Sequence[ItemFields], *, now: datetime, place: str = "") -> tuple[ItemEdit, ...]:
    """Return the edits that describe these items anew, or delete those with `deleted`.

    An item that comes twice counts once when it says the same.

    Args:
        place: what the position of an item is put behind in the names of fields that are wrong; empty for one item.

    Raises:
        InvalidInput: names every field that is wrong.
    """
    edits: dict[str, tuple[int, ItemEdit]] = {}
    problems: list[FieldProblem] = []
    for position, values in enumerate(_checked(items, now=now, place=place)):
        item_id = str(values.pop("item_id"))
        deleted = values.pop(DELETED)
        fields = {name: value for name, value in values.items() if value is not None}
        edit = ItemEdit(item_id, "delete", {}) if deleted else ItemEdit(item_id, "put", fields)
        first, before = edits.setdefault(item_id, (position, edit))
        if before != edit:
            where = f"{place}{position}.item_id" if place else "item_id"
            problems.append(
                FieldProblem(where, f"repeats the id of item {first} with other values; keep one of the two")
            )
    if problems:
        raise _invalid(problems)
    return tuple(edit for _, edit in edits.values())


def patch_edit(item_id: str, fields: ItemFields, *, now: datetime) -> ItemEdit:
    """Return the edit that changes these fields of an item; null empties one.

    Raises:
        InvalidInput: names every field that is wrong; there is none, or the title is emptied.
    """
    if not fields:
        raise InvalidInput(f"Name at least one field to change: {', '.join(FIELDS)}.")
    (values,) = _checked([{"title": "unchanged", **fields, "item_id": item_id}], now=now, place="")
    return ItemEdit(item_id, "patch", {name: values[name] for name in FIELDS if name in fields})


def _checked(items: Sequence[ItemFields], *, now: datetime, place: str) -> list[dict[str, JsonValue]]:
    names = ["item_id", *FIELDS, DELETED]
    text = pl.DataFrame(
        {name: [_text(item.get(name)) for item in items] for name in names}, schema=dict.fromkeys(names, pl.String)
    )
    text = text.with_columns(pl.Series(ROW_NUMBER, range(len(items)), dtype=pl.Int64))
    settings = TenantSettings()
    rules = rules_for(Kind.ITEMS, settings, now)
    batch = check_batch(TextBatch(text), rules=rules, reading=Reading.of(Kind.ITEMS, settings))
    if batch.rejected.height:
        raise _invalid(
            [
                FieldProblem(f"{place}{error.row}.{error.column}" if place else str(error.column), error.error)
                for error in batch.errors
            ]
        )
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in batch.valid.drop(ROW_NUMBER).iter_rows(named=True)
    ]


def _invalid(problems: Sequence[FieldProblem]) -> InvalidInput:
    named = "; ".join(f"{problem.field} {problem.message}" for problem in problems[:3])
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return InvalidInput(f"Nothing was stored. {named}{more}.", details=tuple(problems))


def _text(value: str | float | bool | datetime | None) -> str | None:
    """A value as a file has it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else repr(value)

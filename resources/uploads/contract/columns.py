"""What a shop may upload: kinds of file, their columns, and the shape of an accepted row (docs/data.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import get_args

import polars as pl

from resources.tenants.settings import InteractionType

MAX_TEXT_BYTES = 100_000
"""Bytes of a text that says no less, such as a description, or of a column that is not listed."""
INTERACTION_TYPES: tuple[str, ...] = get_args(InteractionType)
TIME = pl.Datetime("us", "UTC")

# Columns of the rejected-rows download that are ours; a file that is uploaded again may still have them.
REJECTED_ROW = "rejected_row"
REJECTED_REASON = "rejected_reason"


class Kind(StrEnum):
    """Kind of an upload: what its rows are."""

    ITEMS = "items"
    USERS = "users"
    INTERACTIONS = "interactions"


class ValueType(StrEnum):
    """Type of a column's values, which says how the text of a cell is read."""

    ID = "id"
    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    TIME = "time"
    BOOLEAN = "boolean"
    INTERACTION_TYPE = "interaction type"


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column a file of some kind may have; `meaning` is for people, `max_bytes` bounds a text (UTF-8)."""

    name: str
    value_type: ValueType
    meaning: str
    required: bool = False
    alias: str | None = None
    max_bytes: int = MAX_TEXT_BYTES

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column in the accepted rows."""
        return _DTYPES[self.value_type]


_DTYPES: dict[ValueType, pl.DataType] = {
    ValueType.ID: pl.String(),
    ValueType.TEXT: pl.String(),
    ValueType.NUMBER: pl.Float64(),
    ValueType.MONEY: pl.Float64(),
    ValueType.TIME: TIME,
    ValueType.BOOLEAN: pl.Boolean(),
    ValueType.INTERACTION_TYPE: pl.String(),
}

DELETED = "deleted"

_COLUMNS: dict[Kind, tuple[ColumnSpec, ...]] = {
    Kind.ITEMS: (
        ColumnSpec("item_id", ValueType.ID, "the shop's id of the item; once per file", required=True),
        ColumnSpec(
            "title", ValueType.TEXT, "what the shop calls the item", required=True, alias="name", max_bytes=4_000
        ),
        ColumnSpec("category", ValueType.TEXT, "category", max_bytes=2_000),
        ColumnSpec("brand", ValueType.TEXT, "brand", max_bytes=2_000),
        ColumnSpec("description", ValueType.TEXT, "description"),
        ColumnSpec("image_url", ValueType.TEXT, "address of a picture", max_bytes=2_000),
        ColumnSpec("tags", ValueType.TEXT, "tags, separated by a vertical bar", max_bytes=20_000),
        ColumnSpec("price", ValueType.MONEY, "price"),
        ColumnSpec("available", ValueType.BOOLEAN, "whether it may be recommended; true when left out"),
        ColumnSpec("created_at", ValueType.TIME, "when the item joined the catalogue"),
        ColumnSpec(DELETED, ValueType.BOOLEAN, "true takes the item out of the catalogue; needs no title"),
    ),
    Kind.USERS: (
        ColumnSpec("user_id", ValueType.ID, "the shop's id of the user; once per file", required=True),
        ColumnSpec(DELETED, ValueType.BOOLEAN, "true takes the user's row away"),
    ),
    Kind.INTERACTIONS: (
        ColumnSpec("user_id", ValueType.ID, "who", required=True),
        ColumnSpec("item_id", ValueType.ID, "with which item", required=True),
        ColumnSpec("interaction_type", ValueType.INTERACTION_TYPE, "what the user did", required=True),
        ColumnSpec("timestamp", ValueType.TIME, "when", required=True),
        ColumnSpec("rating", ValueType.NUMBER, "the user's rating; required when the type is rating"),
        ColumnSpec("duration_seconds", ValueType.NUMBER, "how long"),
        ColumnSpec("quantity", ValueType.NUMBER, "how many; below 0 for pieces that a purchase or a cart gives back"),
        ColumnSpec("price", ValueType.MONEY, "price paid for one"),
        ColumnSpec("session_id", ValueType.ID, "the visit it belongs to"),
        ColumnSpec("event_id", ValueType.ID, "the shop's id of the event; makes a retry harmless"),
        ColumnSpec(DELETED, ValueType.BOOLEAN, "true takes the earlier rows away that are equal or have the event_id"),
    ),
}


def columns(kind: Kind) -> tuple[ColumnSpec, ...]:
    """Return the columns of a file of `kind`, in the order of the contract."""
    return _COLUMNS[kind]


def id_column(kind: Kind) -> str:
    """Return the column whose value names a row to a person: the item for interactions, too."""
    return "user_id" if kind is Kind.USERS else "item_id"


def accepted_schema(kind: Kind) -> pl.Schema:
    """Return the columns of an accepted row; extra columns stand before `upload_id`, as `extra_<name>` of String."""
    fields: dict[str, pl.DataType] = {column.name: column.dtype for column in columns(kind)}
    return pl.Schema({**fields, "upload_id": pl.String(), "row_number": pl.Int64()})

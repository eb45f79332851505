"""Types that several bodies share."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from resources.base.client_input import ClientInput
from resources.base.ids import MAX_ID_BYTES, checked_id

MAX_COUNT = 100


class Body(ClientInput):
    """Base of request bodies."""


class Answer(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _finite_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueError("must not contain NaN, Infinity or numbers of thousands of digits") from error
    return value


def check_size(most: int, **fields: dict[str, Any]) -> None:
    """Refuse fields that are larger than they need to be: they are stored, and read again with every other one.

    Raises:
        ValueError: together they have more than `most` bytes as JSON.
    """
    size = sum(len(json.dumps(value, ensure_ascii=False).encode()) for value in fields.values() if value)
    if size > most:
        raise ValueError(f"{' and '.join(fields)} have {size:,} bytes, and may have {most:,}; leave some out")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


Id = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(checked_id),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_ID_BYTES}),
]
"""An id of the tenant's own; a whole number is taken as its digits."""

PlainText = Annotated[str, AfterValidator(_without_nul)]
"""A text without NUL, which not every database can store."""
Text = Annotated[PlainText, Field(max_length=500)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_finite_json)]

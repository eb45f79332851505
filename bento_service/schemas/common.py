"""Types that several bodies share."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from resources.base.client_input import ClientInput
from resources.base.ids import MAX_ID_BYTES, checked_id, new_id, nobody_words

MAX_COUNT = 100
_EXACT_FLOAT = 2**53
"""Above it a float has lost digits of a whole number."""


class Body(ClientInput):
    """Base of request bodies."""


class Answer(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


def number_as_text(value: Any) -> Any:
    """A whole number as the id that its digits are; anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return str(int(value))  # as 17850.0 is 17850 in a file
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _nobody_as_nothing(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip() in nobody_words() else value


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
    BeforeValidator(number_as_text),
    AfterValidator(checked_id),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_ID_BYTES}),
]
"""An id of the tenant's own; a whole number is taken as its digits."""

NewId = Annotated[
    str,
    BeforeValidator(number_as_text),
    AfterValidator(new_id),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_ID_BYTES}),
]
"""An id that is about to be stored: as `Id`, but never a word for nobody, and never a number that has lost digits."""
OptionalId = Annotated[Id | None, BeforeValidator(_nobody_as_nothing)]
"""An id that may be left out; a word for nobody (`undefined`) counts as left out, else it would join strangers."""

PlainText = Annotated[str, AfterValidator(_without_nul)]
"""A text without NUL, which not every database can store."""
Text = Annotated[PlainText, Field(max_length=500)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_finite_json)]

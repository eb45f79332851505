"""Types that several bodies share."""

from __future__ import annotations

import json
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from resources.uploads.contract import MAX_ID_BYTES

MAX_COUNT = 100


class Body(BaseModel):
    """Base of request bodies: a field that does not exist is an error, because a misspelt one must not vanish."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


def checked_id(text: str) -> str:
    """Return an id as the data contract wants it: 1–256 bytes, no control characters, without outer blanks.

    Raises:
        ValueError: it is not such an id.
    """
    text = text.strip()
    if not text:
        raise ValueError("must not be blank")
    if len(text.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        raise ValueError(f"must not be longer than {MAX_ID_BYTES} bytes")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise ValueError("must not contain control characters")
    return text


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _finite_json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueError("must not contain NaN or Infinity, which JSON does not have") from error
    return value


Id = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(checked_id),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_ID_BYTES}),
]
"""An id of the tenant's own; a whole number is taken as its digits."""

Text = Annotated[str, Field(max_length=500)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_finite_json)]

"""Reading a form into a model, and saying at each field what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from bento_service.http.errors import Malformed, RequestTimeout, UnsupportedMediaType, invalid_fields, problems_of
from bento_service.http.json_body import media_type
from resources.base.errors import RecsaasError, TooLarge

MOST_BYTES = 32 * 1024
_MOST_FIELDS = 50
_SECONDS = 20.0
Model = TypeVar("Model", bound=BaseModel)


class Form(BaseModel):
    """The fields of a form. Blanks around a value are not dropped: a password may begin with one."""

    model_config = ConfigDict(frozen=True, extra="ignore")


async def read_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form as they were sent; of one that comes twice, the first.

    Raises:
        UnsupportedMediaType, TooLarge, RequestTimeout, Malformed: it is no form of ours.
    """
    if media_type(request) != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("The page takes its own form. Open the page, and send that.")
    body = b""
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise TooLarge(f"The form has more than {MOST_BYTES:,} bytes. Shorten what stands in it.")
    except TimeoutError as error:
        raise RequestTimeout("The form did not arrive in time; send it again.") from error
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise Malformed("The form cannot be read. Open the page anew, and send it again.") from error
    return dict(reversed(pairs))


def filled_in(fields: Mapping[str, str], model: type[Model]) -> Model:
    """Return the fields as a form of ours.

    Raises:
        InvalidInput: names each field that is wrong.
    """
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid_fields(problems_of(found, sent=dict(fields))) from None


def problems_by_field(error: RecsaasError | None) -> dict[str, str]:
    """Return what is wrong with each field, for the page that shows the form again."""
    return (
        {} if error is None else {each.field: f"{each.message[:1].upper()}{each.message[1:]}" for each in error.details}
    )

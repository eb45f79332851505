"""Reading JSON bodies: after the credential was checked, under a size limit, straight into a model.

FastAPI's own body parameters parse before any dependency runs, so that a stranger's body would be read and judged
before the credential is; and they take as much as the client sends. A body that comes in pieces is kept until it is
whole, so the bytes of all of them are bounded as well, and one tenant may have half of that.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from bento_service.http.body_text import check_depth, content_encoding, decompressed, json_text
from bento_service.http.costs import BODY_BYTES
from bento_service.http.errors import (
    Busy,
    Malformed,
    RequestTimeout,
    UnsupportedMediaType,
    invalid_fields,
    problems_of,
)
from resources.base.errors import TooLarge

MAX_JSON_BYTES = 4 * 1024 * 1024
Model = TypeVar("Model", bound=BaseModel)


def media_type(request: Request) -> str:
    """Return the content type without its parameters, in lower case; empty when there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class Bodies:
    """The JSON bodies that are arriving at this worker: how long one may take, and the bytes of all that are held.

    Args:
        timeout: seconds that a body may take to arrive.
        most_bytes: of all bodies together; one tenant may have half of it.
    """

    def __init__(self, *, timeout: float, most_bytes: int) -> None:
        self._timeout = timeout
        self._most = most_bytes
        self._most_of_one = most_bytes // 2
        self._held = 0
        self._held_of: dict[str, int] = {}

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    async def read(self, request: Request) -> bytes:
        """Return the body of a request whose credential was checked.

        Raises:
            TooLarge, RequestTimeout, Busy: as in `read_body`.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > MAX_JSON_BYTES:
            raise _too_large()
        tenant = whose(request)
        chunks: list[bytes] = []
        size = held = 0
        more = True
        try:
            async with asyncio.timeout(self._timeout):
                while more:  # as `Request.stream`, without a generator between
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > MAX_JSON_BYTES:
                        raise _too_large()
                    chunks.append(chunk)
                    more = message.get("more_body", False)
                    if more:  # one that is there at once, as most are, is read without anything between
                        self._hold(tenant, len(chunk))
                        held += len(chunk)
        except TimeoutError as error:
            raise RequestTimeout(f"The body did not arrive within {self._timeout:g} seconds; send it again.") from error
        finally:
            if held:
                self._let_go(tenant, held)
        return b"".join(chunks)

    def _hold(self, tenant: str, size: int) -> None:
        own = self._held_of.get(tenant, 0) + size
        if self._held + size > self._most or own > self._most_of_one:
            raise Busy(
                "Bodies of other requests are arriving, as many bytes as the service or one tenant may have. "
                "Wait a second, send fewer at the same time, and send the request again."
            )
        self._held += size
        self._held_of[tenant] = own

    def _let_go(self, tenant: str, size: int) -> None:
        self._held -= size
        self._held_of[tenant] -= size
        if not self._held_of[tenant]:
            del self._held_of[tenant]


def whose(request: Request) -> str:
    """Return for whom a body is held: the tenant, or the address of whoever has none."""
    tenant: str | None = request.scope["state"].get("tenant")
    return tenant or request.app.state.services.addresses.of(request.scope)


async def read_body(request: Request, model: type[Model], bodies: Bodies, *, optional: bool = False) -> Model:
    """Read the body as `model`; with `optional`, no body at all is an empty object.

    Raises:
        UnsupportedMediaType: the content type is not JSON, or it is compressed in a way that is not taken.
        TooLarge: the body is over 4 MiB, as it was sent or decompressed.
        RequestTimeout: the body did not arrive in time.
        Busy: too many bytes of bodies are arriving, from this tenant or from all.
        Malformed: the body is not JSON.
        InvalidInput: it is JSON, but not what the route takes.
    """
    kind = media_type(request)
    if kind not in ("", "application/json") and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"The route takes JSON, not {kind[:80]}. Send 'Content-Type: application/json'.")
    encoding = content_encoding(request)
    body = await bodies.read(request)
    if encoding:
        body = decompressed(body, encoding, most=MAX_JSON_BYTES, too_large=_too_large)
    body = json_text(body)
    if len(body) >= BODY_BYTES:
        await _admit(request, len(body) // BODY_BYTES)
    if optional and not body:
        body = b"{}"
    check_depth(body)
    return validated(body, model)


def validated(body: bytes, model: type[Model]) -> Model:
    """Read a body that is there as `model`.

    Raises:
        Malformed: the body is not JSON.
        InvalidInput: it is JSON, but not what the route takes.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            raise Malformed(f"The body is not JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}.") from None
        raise invalid_fields(problems_of(found, sent=from_json(body))) from None


def json_body(
    model: type[BaseModel], examples: dict[str, Any], *, file_field: str | None = None, required: bool = True
) -> dict[str, Any]:
    """Describe a body that the handler reads itself for the OpenAPI document; with `file_field`, or a file."""
    content: dict[str, Any] = {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{model.__name__}"},
            "examples": {name: {"value": value} for name, value in examples.items()},
        }
    }
    if file_field is not None:
        content["multipart/form-data"] = multipart_schema(file_field)
    return {"requestBody": {"required": required, "content": content}}


def multipart_schema(file_field: str, *, mapping: bool = True) -> dict[str, Any]:
    """Describe a form with one file, and how that is read where the form may say so."""
    fields = {file_field: {"type": "string", "format": "binary", "description": "CSV, TSV or Parquet"}}
    if mapping:
        fields["mapping"] = {
            "type": "string",
            "description": 'How this file is read, as JSON: {"columns": {"SKU": "item_id"}}, see PUT /api/v1/mappings',
        }
    return {"schema": {"type": "object", "required": [file_field], "properties": fields}}


async def _admit(request: Request, cost: int) -> None:
    """Count a large body against the limits, and take another turn: it has not come with the head of the request.

    Raises:
        RateLimited: it is too much.
    """
    services, state = request.app.state.services, request.scope["state"]
    if "tenant" in state:
        await services.limits.count(state, cost)
    else:
        services.limits.count_stranger(state, whose(request), cost)
    await services.turns.take(whose(request))


def _too_large() -> TooLarge:
    return TooLarge(
        f"The body holds more than {MAX_JSON_BYTES:,} bytes; send it in several requests, or upload a file."
    )

"""The one error shape, and which status every error of ours has."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from polars.exceptions import PolarsError
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from resources.base.client_input import told
from resources.base.errors import (
    Conflict,
    CorruptArtifact,
    CorruptRelease,
    FieldProblem,
    Forbidden,
    InvalidInput,
    NotFound,
    NotInPlan,
    NotReady,
    QuotaExceeded,
    QuotaUsedUp,
    RecsaasError,
    TooLarge,
    TooManyAttempts,
    TooManyRequests,
    Unauthenticated,
    UploadRefused,
)
from resources.storage.disk import says_full

RETRY_AFTER_SECONDS = 10
_MAX_DETAILS = 50
_LONGEST_NAME = 80
"""Characters of a name of a field that an error repeats."""
_MOST_VALUES = 1000
"""Of one query parameter, more than any may have."""
_log = structlog.get_logger("recsaas.http")


class Malformed(RecsaasError):
    """The body cannot be read at all."""

    code = "malformed_request"


class NestedTooDeep(Malformed):
    """The body has more levels of brackets than any that makes sense."""

    code = "nested_too_deep"


class UnsupportedMediaType(RecsaasError):
    """The body has a content type that the route does not take."""

    code = "unsupported_media_type"


class RequestTimeout(RecsaasError):
    """The client sent its body too slowly."""

    code = "request_timeout"


class RateLimited(TooManyRequests):
    """More requests a second than allowed; `headers` say how many may be sent, and `retry_after` when, in seconds."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.headers = headers


class Busy(NotReady):
    """More requests at the same time than this worker takes."""

    code = "busy"
    retry_after = 1


class ErrorDetail(BaseModel):
    """One field of the request and what is wrong with it."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class ErrorInfo(BaseModel):
    """`code` is stable and meant for programs; `message` says what to do."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    details: tuple[ErrorDetail, ...] = ()
    request_id: str


class ErrorBody(BaseModel):
    """Body of every answer with a status of 400 or more."""

    model_config = ConfigDict(frozen=True)

    error: ErrorInfo


# The first match counts, so a class stands before its base.
_STATUS: tuple[tuple[type[RecsaasError], int], ...] = (
    (Malformed, 400),
    (Unauthenticated, 401),
    (QuotaExceeded, 402),
    (NotInPlan, 402),
    (Forbidden, 403),
    (NotFound, 404),
    (RequestTimeout, 408),
    (Conflict, 409),
    (TooLarge, 413),
    (UnsupportedMediaType, 415),
    (InvalidInput, 422),
    (TooManyRequests, 429),
    (NotReady, 503),
    (CorruptRelease, 503),
    (CorruptArtifact, 500),
)
_HTTP_CODES = {400: "malformed_request", 404: "not_found", 405: "method_not_allowed"}
_HTTP_MESSAGES = {
    404: "There is no such route; /openapi.json lists them all.",
    405: "The route does not take this method; the Allow header names those it takes.",
}
# What a disk says that is broken, or that is on a network and gone.
_AWAY = frozenset({errno.EIO, errno.ESTALE, errno.EROFS, errno.ENODEV, errno.ENOTCONN, errno.ETIMEDOUT})
_INTERNAL = "Something went wrong on our side. Try again; if it stays, tell us the request_id."


def http_status_of(error: RecsaasError) -> int:
    """Return the HTTP status of an error; 500 for one that is the installation's fault."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def error_response(
    status: int,
    *,
    code: str,
    message: str,
    request_id: str,
    details: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build an answer of the one error shape."""
    info = ErrorInfo(code=code, message=message, details=_shown(details), request_id=request_id)
    merged = dict(headers or {})
    if status == 401:
        merged.setdefault("WWW-Authenticate", "Bearer")
    if status in (429, 503):
        merged.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return Response(
        ErrorBody(error=info).model_dump_json(), status_code=status, media_type="application/json", headers=merged
    )


def error_info(error: RecsaasError, request_id: str) -> ErrorInfo:
    """Return what an answer that is no error says of one of ours, such as about one event of many."""
    return ErrorInfo(code=error.code, message=error.message, details=_shown(error.details), request_id=request_id)


def _shown(details: Sequence[FieldProblem]) -> tuple[ErrorDetail, ...]:
    return tuple(ErrorDetail(field=p.field, message=p.message) for p in details[:_MAX_DETAILS])


def internal_error(request_id: str) -> Response:
    """Build the answer to an error nobody expected; it tells nothing about the inside."""
    return error_response(500, code="internal_error", message=_INTERNAL, request_id=request_id)


def problems_of(errors: Sequence[Any], *, sent: Any) -> tuple[FieldProblem, ...]:
    """Turn pydantic's list of errors into ours; `sent` is what the client sent, in which the fields are."""
    return tuple(FieldProblem(_field(e["loc"], sent), told(e["msg"])) for e in errors)


def _field(place: Sequence[int | str], sent: Any) -> str:
    """Return where the client finds what is wrong, such as `events.3.user_id`.

    A location also has parts that nobody sent, such as which one of two types was tried: they are left out.
    """
    path: list[str] = []
    if isinstance(sent, list) and place:  # a bare list stands for an object with this list
        sent = {place[0]: sent}
    for number, part in enumerate(place):
        if _holds(sent, part):
            sent = sent[part]
        elif not (isinstance(sent, dict) and number == len(place) - 1):  # a field that is missing is not there
            continue
        path.append(str(part)[:_LONGEST_NAME])
    return ".".join(path) or "body"


def _holds(sent: Any, part: int | str) -> bool:
    """Tell whether what was sent has a field of this name, or a value at this position."""
    if isinstance(sent, dict):
        return part in sent
    return isinstance(sent, list) and isinstance(part, int) and part < len(sent)


def invalid_fields(problems: Sequence[FieldProblem]) -> InvalidInput:
    """Return the error for fields that are wrong; its message already names the first ones."""
    named = "; ".join(f"{p.field}: {p.message}" for p in problems[:3])
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    end = "" if named.endswith("?") and not more else "."
    return InvalidInput(f"The request is not valid. {named}{more}{end}", details=tuple(problems))


def install_error_handlers(app: FastAPI) -> None:
    """Make every error that passes a route come out in the one shape."""
    for kind, handler in _handlers().items():
        app.add_exception_handler(kind, handler)


async def answer_to_expected(request: Request, error: Exception) -> Response | None:
    """Build the answer to an error as those handlers do; `None` for one that nobody expects."""
    handlers = _handlers()
    handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    return await handler(request, error) if handler is not None else None


def _handlers() -> dict[Any, Callable[[Request, Any], Awaitable[Response]]]:
    return {
        RecsaasError: _on_ours,
        RequestValidationError: _on_validation,
        HTTPException: _on_http,
        DataError: _on_value,
        OperationalError: _on_database,
        sqlite3.OperationalError: _on_database,
        PoolTimeout: _on_database,
        OSError: _on_system,
        PolarsError: _on_polars,
        ClientDisconnect: _on_gone,
    }


def answer_to(error: RecsaasError, request_id: str) -> Response:
    """Build the answer to one of our errors."""
    status = http_status_of(error)
    if status == 500:
        _log.error("internal_error", code=error.code, message=error.message)
        if not isinstance(error, CorruptArtifact):
            return internal_error(request_id)
    code = error.reason if isinstance(error, UploadRefused) else error.code
    timed = (RateLimited, Busy, TooManyAttempts, QuotaUsedUp)
    wait = {"Retry-After": str(error.retry_after)} if isinstance(error, timed) else None
    return error_response(
        status, code=code, message=error.message, details=error.details, request_id=request_id, headers=wait
    )


async def _on_ours(request: Request, error: RecsaasError) -> Response:
    return answer_to(error, _request_id(request))


async def _on_gone(request: Request, _: ClientDisconnect) -> Response:
    """An answer that nobody reads: it is for the log, where an aborted request is no error of ours."""
    return await _on_ours(request, Malformed("The connection ended before the body did; send the request again."))


async def _on_validation(request: Request, error: RequestValidationError) -> Response:
    # Each location begins with where the value was: in the path, the query or a header, which are no levels of a body.
    found = [{**each, "loc": each["loc"][1:]} for each in error.errors()]
    sent = {str(each["loc"][0]): [None] * _MOST_VALUES for each in found if each["loc"]}
    return await _on_ours(request, invalid_fields(problems_of(found, sent=sent)))


async def _on_http(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    headers = {**(error.headers or {})}
    if status == 405 and (methods := _methods_of(request)):
        headers["Allow"] = methods
    return error_response(
        status,
        code=_HTTP_CODES.get(status, "invalid_request" if status < 500 else "internal_error"),
        message=_HTTP_MESSAGES.get(status, str(error.detail)),
        request_id=_request_id(request),
        headers=headers,
    )


def _methods_of(request: Request) -> str:
    """Return all methods of the path: a route knows only its own. Empty for a page of the framework."""
    methods: set[str] = set()
    slashes = encoded_slashes(request.scope)
    routes: Sequence[APIRoute] = request.app.state.routes
    for route in routes:
        match, found = route.matches(request.scope)
        ids = found.get("path_params", {}).values()
        # An id ends at a slash that is not percent-encoded: such a route would not answer.
        if match is not Match.NONE and all(str(each).count("/") == slashes for each in ids):
            methods |= route.methods or set()
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))


async def _on_value(request: Request, error: DataError) -> Response:
    """PostgreSQL takes no NUL in a text, not even to look for one, and no text that is too long; SQLite does."""
    return await _on_ours(
        request,
        InvalidInput("The request has a value that cannot be stored: a NUL character, or a text or number too large."),
    )


async def _on_database(request: Request, error: Exception) -> Response:
    _log.error("control_db_unavailable", kind=type(error).__name__)
    return error_response(
        503,
        code="control_db_unavailable",
        message="The control database is busy or away, and nothing was stored. Try again in a few seconds.",
        request_id=_request_id(request),
    )


async def _on_system(request: Request, error: OSError) -> Response:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        _log.error("storage_full")
        return error_response(
            503,
            code="storage_full",
            message="The storage is full, and nothing was stored. Try again when the operator has made room.",
            request_id=_request_id(request),
        )
    if error.errno in _AWAY:
        _log.error("storage_unavailable", exc_info=error)
        return error_response(
            503,
            code="lake_unavailable",
            message="The storage does not answer, and nothing was stored. Try again in a few seconds.",
            request_id=_request_id(request),
        )
    _log.error("unhandled", exc_info=error)
    return internal_error(_request_id(request))


async def _on_polars(request: Request, error: PolarsError) -> Response:
    if says_full(error):
        return await _on_system(request, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    raise error


def encoded_slashes(scope: Scope) -> int:
    """How many slashes of the path were sent percent-encoded."""
    raw: bytes = scope.get("raw_path") or b""
    return raw.lower().count(b"%2f")


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))

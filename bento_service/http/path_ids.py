"""Paths: slashes at their end, and ids of users and items in them: what is part of the id, and what of the route."""

from __future__ import annotations

from fastapi import Request
from starlette.types import Scope

from bento_service.http.errors import encoded_slashes, invalid_fields
from resources.base.errors import FieldProblem, NotFound
from resources.base.ids import checked_id


def without_slashes_at_the_end(scope: Scope) -> Scope:
    """Return the scope of the same request without slashes at the end of its path: they name nothing.

    One that belongs to an id is percent-encoded, and stays.
    """
    path: str = scope["path"]
    if not path.endswith("/") or path == "/":
        return scope
    raw: bytes = scope.get("raw_path") or path.encode()
    kept = raw.rstrip(b"/") or b"/"
    cut = len(raw) - len(kept)
    return {**scope, "path": path[:-cut] if cut else path, "raw_path": kept}


def path_id(request: Request, name: str, value: str) -> str:
    """Return an id that a path holds. A slash in it is percent-encoded (`%2F`): one that is not ends the id.

    So `/users/x/export` is never about a user `x/export`, whatever the method, and `/users/x%2Fexport` always is.

    Raises:
        NotFound: there is no such route.
        InvalidInput: it is not an id; the error names it `name`.
    """
    if value.count("/") != encoded_slashes(request.scope):
        raise NotFound("There is no such route. In a path a slash that belongs to an id is sent as %2F.")
    try:
        return checked_id(value)
    except ValueError as error:
        raise invalid_fields([FieldProblem(name, str(error))]) from error

"""The kind of route that every page is: requests that were forged are refused, and errors are pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bento_service.http.errors import answer_to_expected
from bento_service.pages.render import error_page, see_other
from bento_service.pages.security import check_same_site
from resources.base.errors import RecsaasError

_EXPECTED = (RecsaasError, RequestValidationError, HTTPException, SQLAlchemyError, OSError)


class LoggedOut(Exception):
    """Nobody is logged in: the browser goes to the log-in page and comes back to `address`."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class PageRoute(APIRoute):
    """A route of a page; unsafe methods pass only from pages of ours."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with both around it."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                check_same_site(request)
                return await handler(request)
            except LoggedOut as error:
                return see_other(error.address)
            except _EXPECTED as error:
                return await _page_of(request, error)

        return answer


async def _page_of(request: Request, error: Exception) -> Response:
    """Return the page that says what an answer of the API would say, with its status and its headers."""
    told = await answer_to_expected(request, error)
    if told is None:
        raise error
    info = json.loads(bytes(told.body))["error"]
    response = error_page(request, told.status_code, code=info["code"], message=info["message"])
    if wait := told.headers.get("retry-after"):
        response.headers["Retry-After"] = wait
    return response

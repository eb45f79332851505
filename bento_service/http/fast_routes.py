"""Routes that are answered without the framework's machinery: an exact path, an endpoint that takes the request alone.

They stand in the router like all others, which describes them in the OpenAPI document. What is saved is the search for
the route, the solving of dependencies and two stacks of clean-ups: a third of the time that an answer takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from resources.base.errors import ConfigurationError


class JsonAnswer(Response):
    """JSON that is ready to be sent; its headers are put together without looking at what they may hold."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]


Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class FastRoute:
    """One route; `path_format` is its name in metrics and logs, as of any other."""

    path_format: str
    endpoint: Endpoint


FastRoutes = Mapping[tuple[str, str], FastRoute]
"""Routes by method and path."""


def fast_routes(router: APIRouter, endpoints: tuple[Endpoint, ...]) -> FastRoutes:
    """Return the routes of the router that these endpoints answer.

    Raises:
        ConfigurationError: an endpoint has no route, or needs what only the framework can give it.
    """
    found: dict[tuple[str, str], FastRoute] = {}
    for endpoint in endpoints:
        routes = [route for route in router.routes if isinstance(route, APIRoute) and route.endpoint is endpoint]
        if (
            not routes
            or any("{" in route.path for route in routes)
            or list(inspect.signature(endpoint).parameters) != ["request"]
        ):
            raise ConfigurationError(f"{endpoint.__name__} cannot be a fast route: it takes more than the request.")
        for route in routes:
            found |= {(method, route.path): FastRoute(route.path_format, endpoint) for method in route.methods or ()}
    return found

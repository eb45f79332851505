"""The query of an address: which parameters each route has, and what an empty, unknown or repeated one means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_origin
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Scope

from bento_service.http.errors import invalid_fields
from resources.base.errors import FieldProblem
from resources.base.suggestions import did_you_mean

_SENT = "query_as_sent"
_LONGEST_NAME = 80
_NONE: Mapping[str, Parameter] = {}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter: a `flag` is true or false, and one that `repeats` may come several times."""

    name: str
    flag: bool
    repeats: bool


class QueryNames:
    """The query parameters of all routes.

    A name is a flag on every route or on none.
    """

    def __init__(self, routes: Iterable[object]) -> None:
        self._of_route: dict[tuple[str, str], Mapping[str, Parameter]] = {}
        for route in routes:
            if isinstance(route, APIRoute):
                parameters = {each.name: each for each in _parameters(route.dependant)}
                self._of_route |= {(method, route.path_format): parameters for method in route.methods or ()}
        known = [each for parameters in self._of_route.values() for each in parameters.values()]
        self._flags = frozenset(each.name for each in known if each.flag)
        self._others = frozenset(each.name for each in known if not each.flag)

    def tidy(self, scope: Scope) -> None:
        """Leave out parameters that have no value, and take the bare name of a flag as true.

        The query as it was sent is kept for `check`. A flag with `=` and nothing after it stays, and is refused: it
        says neither true nor false, and a file that was only to be checked must not be stored.
        """
        query: bytes = scope["query_string"]
        scope["state"][_SENT] = query
        sent = query.decode("latin-1").split("&")
        tidied = "&".join(part for each in sent if (part := self._tidied(each)))
        scope["query_string"] = tidied.encode("latin-1")

    def check(self, request: Request) -> None:
        """Refuse a query that the route does not have, or that says one thing twice.

        Raises:
            InvalidInput: names each parameter that is wrong, and the one that may be meant.
        """
        sent: bytes = request.scope["state"].get(_SENT, b"")
        if not sent:
            return
        known = self._of_route.get((request.scope["method"], request.scope["route"].path_format), _NONE)
        times = Counter(name for name, _ in parse_qsl(sent.decode("latin-1"), keep_blank_values=True))
        problems = []
        for name, count in times.items():
            if name not in known:
                message = f"is not a query parameter of this route; {did_you_mean(name, known)}"
                problems.append(FieldProblem(name[:_LONGEST_NAME], message))
            elif count > 1 and not known[name].repeats:
                problems.append(FieldProblem(name, "is given several times; send it once"))
        if problems:
            raise invalid_fields(problems)

    def _tidied(self, part: str) -> str:
        name, equals, value = part.partition("=")
        name = unquote_plus(name)
        if value or (name not in self._flags and name not in self._others):
            return part
        return part if equals and name in self._flags else f"{name}=true" if name in self._flags else ""


async def known_query(request: Request) -> None:
    """Check the query of a route that needs no key, as a dependency; that of all others is checked after the key.

    Raises:
        InvalidInput: as `QueryNames.check`.
    """
    names: QueryNames = request.app.state.query
    names.check(request)


def _parameters(dependant: Dependant) -> Iterator[Parameter]:
    for field in dependant.query_params:
        kind = field.field_info.annotation
        repeats = get_origin(kind) in (Sequence, list, tuple)
        yield Parameter(field.alias, flag=kind is bool, repeats=repeats)
    for each in dependant.dependencies:
        yield from _parameters(each)

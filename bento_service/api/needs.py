"""What a route asks of a credential: written down where the route is, read by its documentation and its tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi.dependencies.models import Dependant

_NAME = "recsaas_needs"
Dependency = TypeVar("Dependency", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """One of these is enough.

    Attributes:
        permissions: within a shop, any of them.
        keys: scopes of keys alone, any of them, for the key's own shop.
        office: of the platform; empty: nobody of it.
        person: somebody who has logged in, about themselves, and for nobody else.
        office_person: somebody who has logged in and works for the platform.
        with_file: the permission for the same route with a file in place of JSON.
    """

    permissions: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    office: str = ""
    person: bool = False
    office_person: bool = False
    with_file: str = ""

    @property
    def text(self) -> str:
        """What is needed, in a few words."""
        words = [f"`{each}`" for each in self.permissions]
        words += [f"a key with `{each}`" for each in self.keys]
        words += [f"office `{self.office}`"] if self.office else []
        words += ["a person"] if self.person else []
        words += ["a person of the office"] if self.office_person else []
        with_file = f"; with a file `{self.with_file}`" if self.with_file else ""
        return " or ".join(words) + with_file


def needing(needs: Needs, dependency: Dependency) -> Dependency:
    """Write down what the dependency of a route asks for."""
    dependency.__dict__[_NAME] = needs
    return dependency


def needs_of(dependant: Dependant) -> Needs | None:
    """Return what a route asks for; None where it asks nobody."""
    for each in dependant.dependencies:
        if each.call is not None and _NAME in getattr(each.call, "__dict__", {}):
            found: Needs = each.call.__dict__[_NAME]
            return found
        if (below := needs_of(each)) is not None:
            return below
    return None

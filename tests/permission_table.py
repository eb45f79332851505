"""The table of routes in docs/permissions.md, and who may use them: `python -m tests.permission_table` writes it."""

from __future__ import annotations

from pathlib import Path

from fastapi.routing import APIRoute

from bento_service.api.needs import Needs, needs_of
from bento_service.routes.operations import OPERATIONS
from resources.access.roles import (
    FORBIDDEN_WHILE_ACTING,
    OFFICE_ROLES,
    PERMISSIONS_OF_OFFICE,
    PERMISSIONS_OF_ROLE,
    TENANT_ROLES,
)
from resources.access.scopes import SCOPES, permissions_of

PAGE = Path("docs/permissions.md")
_BEGIN, _END = "<!-- permissions -->\n", "<!-- /permissions -->\n"
BROWSER = frozenset({"recommendations:read", "interactions:write"})


def needs_of_routes() -> dict[str, Needs | None]:
    """What each route of the OpenAPI document asks for, by method and path; None: nobody is asked."""
    found = {}
    for router in OPERATIONS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in sorted(route.methods or ()):
                    found[f"{method} {route.path_format}"] = needs_of(route.dependant)
    return found


def table() -> str:
    """Return the routes, what each needs, and who has it."""
    people = (*TENANT_ROLES, "acting", *OFFICE_ROLES)
    lines = [
        f"| route | needs | scopes of keys | browser key | {' | '.join(people)} |",
        "|---|---|---|---|" + "---|" * len(people),
    ]
    for route, needs in sorted(needs_of_routes().items(), key=lambda each: each[0].split(" ")[::-1]):
        lines.append(f"| `{route}` | {_row(needs)} |")
    return "\n".join(lines) + "\n"


def _row(needs: Needs | None) -> str:
    if needs is None:
        return " | ".join(["nobody is asked", *["yes"] * (2 + len(TENANT_ROLES) + 1 + len(OFFICE_ROLES))])
    wanted = set(needs.permissions)
    scopes = [scope for scope in SCOPES if permissions_of({scope}) & (wanted | set(needs.keys))]
    of_role = [bool(PERMISSIONS_OF_ROLE[role] & wanted) or needs.person for role in TENANT_ROLES]
    acting = bool((PERMISSIONS_OF_ROLE["admin"] - FORBIDDEN_WHILE_ACTING) & wanted) or needs.office_person
    anybody = needs.person or needs.office_person
    office = [needs.office in PERMISSIONS_OF_OFFICE[role] or anybody for role in OFFICE_ROLES]
    marks = ["yes" if mark else "" for mark in (bool(BROWSER & wanted), *of_role, acting, *office)]
    return " | ".join([needs.text, ", ".join(f"`{scope}`" for scope in scopes), *marks])


def page(text: str) -> str:
    """Return the page with the table as it is now."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}{table()}{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""Every route asked with every credential: it opens what its needs and the credential's roles say, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bento_service.api.needs import Needs
from resources.access.actor import SYSTEM
from resources.access.key_kinds import KeyTerms
from resources.access.roles import (
    FORBIDDEN_WHILE_ACTING,
    OFFICE_PERMISSIONS,
    OFFICE_ROLES,
    PERMISSIONS_OF_OFFICE,
    PERMISSIONS_OF_ROLE,
    TENANT_ROLES,
)
from resources.access.scopes import PLATFORM, SCOPES, permissions_of
from resources.base.settings import Settings
from resources.control_db.api_keys import make_api_key
from resources.control_db.engine import ControlDb
from tests.permission_table import BROWSER, PAGE, needs_of_routes, page
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.people import person
from tests.unit.bento_service.shop import NOW, Shop

ORIGIN = "https://shop.example.com"
_LAST = ("/api/v1/auth/", "/api/v1/me", "/api/v1/shop", "/api/v1/members/leave", "/api/v1/admin/act", "/impersonate")
"""What ends a credential or a shop is asked for last."""
REFUSED = re.compile(
    "lacks the scope|does not have|is none: log in|is none|for the operator of this service|belong to no shop"
    "|acts for a shop may not"
)


@dataclass(frozen=True)
class Credential:
    """What somebody sends, and what they may do by the roles."""

    headers: dict[str, str]
    permissions: frozenset[str] = frozenset()
    office: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    person: bool = False
    of_office: bool = False

    def may(self, needs: Needs) -> bool:
        """Whether this opens a route with these needs."""
        return bool(
            self.permissions.intersection(needs.permissions)
            or self.scopes.intersection(needs.keys)
            or needs.office in self.office
            or (needs.person and self.person)
            or (needs.office_person and self.of_office)
        )


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"address_rate_limit": 0, "page_rate_limit": 0})


def of_key(shop: Shop, *scopes: str, kind: Any = "secret") -> Credential:
    origins = (ORIGIN,) if kind == "browser" else ()
    terms = KeyTerms(name=kind, scopes=scopes, kind=kind, origins=origins)
    made = make_api_key(shop.db, shop.tenant, terms, now=NOW, by=SYSTEM)
    headers = {"Authorization": f"Bearer {made.secret}"} | ({"Origin": ORIGIN} if origins else {})
    office = frozenset(OFFICE_PERMISSIONS) if PLATFORM in scopes else frozenset()
    return Credential(headers, permissions_of(scopes) - {PLATFORM}, office, frozenset(scopes))


def of_role(shop: Shop, role: Any) -> Credential:
    somebody = person(shop.db, f"{role}@example.com", now=NOW, tenant=shop.tenant, role=role)
    return Credential(somebody.headers, PERMISSIONS_OF_ROLE[role], person=True)


def of_office(db: ControlDb, role: Any) -> Credential:
    somebody = person(db, f"{role}@example.com", now=NOW, office=role)
    return Credential(somebody.headers, office=PERMISSIONS_OF_OFFICE[role], person=True, of_office=True)


def acting(client: Client, shop: Shop, *, write: bool) -> Credential:
    """Somebody of the office who acts for the shop: an admin of it, or a viewer."""
    person(shop.db, "owner@example.com", now=NOW, tenant=shop.tenant)
    role = "super_admin" if write else "support_agent"
    who = person(shop.db, f"{role}@example.com", now=NOW, office=role).headers
    asked = {"tenant_id": shop.tenant.value, "reason": "The shop has asked for help", "write": write}
    answer = client.post("/api/v1/admin/impersonate", json=asked, headers=who)
    assert answer.status_code == 201, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    permissions = PERMISSIONS_OF_ROLE["admin" if write else "viewer"] - FORBIDDEN_WHILE_ACTING
    return Credential(headers, permissions, of_office=True)


NAMES = (
    *(f"key of {scope}" for scope in (*SCOPES, PLATFORM)),
    *("key of everything", "browser key", "sandbox key", "foreign key"),
    *TENANT_ROLES,
    *OFFICE_ROLES,
    *("acting and writing", "acting and reading"),
)


def credential(name: str, client: Client, blue: Shop, green: Shop) -> Credential:
    if name.startswith("key of "):
        scope = name.removeprefix("key of ")
        return of_key(blue, *(SCOPES if scope == "everything" else (scope,)))
    if name == "browser key":
        return of_key(blue, *BROWSER, kind="browser")
    if name == "sandbox key":
        return of_key(blue, *SCOPES, kind="sandbox")
    if name == "foreign key":
        return of_key(green, *SCOPES)
    if name in TENANT_ROLES:
        return of_role(blue, name)
    if name in OFFICE_ROLES:
        return of_office(blue.db, name)
    return acting(client, blue, write=name == "acting and writing")


def asked(client: Client, headers: dict[str, str]) -> Iterator[tuple[str, Needs | None, Any]]:
    """Every route asked for a thing that is not there, with a body that no route reads."""
    routes = sorted(needs_of_routes().items(), key=lambda each: any(part in each[0] for part in _LAST))
    for route, needs in routes:
        method, template = route.split()
        path = re.sub(r"{\w+}", "no-such-thing", template)
        sent = {**headers, "Content-Type": "text/nothing"}
        yield route, needs, client.request(method, path, headers=sent, content=b"x")


def test_the_table_has_every_route_of_the_document(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(needs_of_routes()) == {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }


def test_the_routes_ask_for_what_the_documentation_of_the_api_says() -> None:
    """That column is written by hand: what a route is meant to ask for, whatever stands beside it in the program."""
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `([A-Z]+ /\S*)` \| ([^|]+?) \|", text, re.MULTILINE))
    for route, needs in needs_of_routes().items():
        assert set(documented[route].replace("`", "").split(" or ")) == _documented(needs), route


def _documented(needs: Needs | None) -> set[str]:
    """The words of the column `scope`: `member` is a person, about themselves; `platform` stands for the office."""
    if needs is None:
        return {"none"}
    words = {*needs.permissions, *needs.keys}
    words |= {"platform"} if needs.office else set()
    return words | ({"member"} if needs.person or needs.office_person else set())


def test_the_page_has_the_table() -> None:
    text = (Path(__file__).parents[4] / PAGE).read_text(encoding="utf-8")
    assert page(text) == text, "write it anew: python -m tests.permission_table"


def test_nobody_is_asked_where_the_document_says_so(client: Client) -> None:
    document = client.get("/openapi.json").json()["paths"]
    for route, needs in needs_of_routes().items():
        method, path = route.split()
        declared = "security" in document[path][method.lower()]
        assert declared == (needs is not None) or path == "/health", route


def test_without_a_credential_only_open_routes_answer(client: Client) -> None:
    for route, needs, answer in asked(client, {}):
        assert (answer.status_code == 401) == (needs is not None), (route, answer.text)


@pytest.mark.parametrize("name", NAMES)
def test_a_credential_opens_what_the_table_says(client: Client, blue: Shop, green: Shop, name: str) -> None:
    who = credential(name, client, blue, green)
    for route, needs, answer in asked(client, who.headers):
        assert answer.status_code < 500 or answer.status_code == 503, (route, answer.text)
        if needs is None:
            continue
        assert answer.status_code != 401, (route, answer.text)
        refused = answer.status_code == 403 and bool(REFUSED.search(answer.text))
        if name == "sandbox key" and answer.status_code == 403 and not refused:
            assert answer.json()["error"]["code"] == "sandbox_key", (route, answer.text)
            continue
        assert refused == (not who.may(needs)), (route, needs, answer.status_code, answer.text)

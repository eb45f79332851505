"""For each route a credential that it takes: of the shop, of the platform, or of a person."""

from __future__ import annotations

from fastapi import FastAPI

from bento_service.api.needs import Needs, needs_of
from resources.access.scopes import PLATFORM, SCOPES, permissions_of
from tests.unit.bento_service.people import person
from tests.unit.bento_service.shop import NOW, Shop

Route = tuple[str, str]
"""Method and path of a route, as the OpenAPI document writes them."""
_OF_KEYS = permissions_of(SCOPES)


class Credentials:
    """What a test that walks all routes sends with each: the shop's key, wherever that is enough."""

    def __init__(self, app: FastAPI, shop: Shop) -> None:
        self._shop = shop
        self._needs: dict[Route, Needs | None] = {
            (method, route.path_format): needs_of(route.dependant) if hasattr(route, "dependant") else None
            for route in app.state.routes
            for method in route.methods or ()
        }
        self._office = shop.key_with(PLATFORM)
        self._person = person(shop.db, "owner@example.com", now=NOW, tenant=shop.tenant).headers
        self._support = person(shop.db, "office@example.com", now=NOW, office="super_admin").headers

    def of(self, method: str, path: str) -> dict[str, str]:
        """The headers for a route."""
        needs = self._needs[method, path]
        if needs is None or not _OF_KEYS.isdisjoint(needs.permissions):
            return self._shop.headers
        if needs.office_person or needs.office.startswith("act:"):  # a key is nobody who could act for somebody
            return self._support
        return self._office if needs.office else self._person

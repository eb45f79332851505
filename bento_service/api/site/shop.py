"""The demo shop: a small shop page over one tenant, which uses the widget as any shop would.

The page itself calls the public API with a key that every visitor can read. What is here beside the files is what a
shop has of its own: its catalogue, and who it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as PathValue
from starlette.responses import FileResponse, Response

from bento_service.demo.catalogue import DemoShop, categories_of, shoppers_of
from bento_service.dependencies import Services, WithServices
from bento_service.http.page_headers import SHOP
from bento_service.http.path_ids import path_id
from bento_service.http.query import known_query
from bento_service.scheduling.threads import threaded
from bento_service.schemas.common import Answer
from bento_service.schemas.items import ItemAnswer, ItemPage
from resources.base.errors import CorruptRelease, NotReady
from resources.catalogue.items import ItemQuery
from resources.release.load import LoadedRelease

router = APIRouter(include_in_schema=False)
_PAGES = Path(__file__).parents[2] / "demo" / "shop"
_HEADERS = {**SHOP, "Cache-Control": "no-cache"}
_MOST = 60
# Pages and their files take any query: links to them carry what trackers add, and versions for caches.
_CHECKED = [Depends(known_query)]


class ShopConfig(Answer):
    """Facts that the page needs before it can show anything. `shoppers` are users with a history."""

    name: str
    tenant: str
    api_key: str
    categories: tuple[str, ...]
    shoppers: tuple[str, ...]


async def _shop(services: WithServices) -> DemoShop:
    shop = DemoShop(services.settings, services.db, services.clock)
    # A service without a demo shop has none of these routes, and the shop of a suspended tenant is closed.
    await services.threads.reads.run(shop.tenant.value, shop.name)
    return shop


WithShop = Annotated[DemoShop, Depends(_shop)]


@router.get("/shop")
def page(_shop: WithShop) -> FileResponse:
    """Show the shop."""
    return FileResponse(_PAGES / "index.html", media_type="text/html", headers=_HEADERS)


@router.get("/shop/shop.css")
def style(_shop: WithShop) -> FileResponse:
    """How the shop looks."""
    return FileResponse(_PAGES / "shop.css", media_type="text/css", headers=_HEADERS)


@router.get("/shop/shop.js")
def behaviour(_shop: WithShop) -> FileResponse:
    """What the shop does."""
    return FileResponse(_PAGES / "shop.js", media_type="text/javascript", headers=_HEADERS)


@router.get("/shop/art.js")
def art(_shop: WithShop) -> FileResponse:
    """Pictures of items that have none."""
    return FileResponse(_PAGES / "art.js", media_type="text/javascript", headers=_HEADERS)


@router.get("/shop/config.json", dependencies=_CHECKED)
async def config(services: WithServices, shop: WithShop) -> Response:
    """Tell the page which shop it is, and the key that it may use."""
    name, key = await services.threads.keys.run(shop.tenant.value, lambda: (shop.name(), shop.key()))
    release = await _release(services, shop)
    answer = ShopConfig(
        name=name,
        tenant=shop.tenant.value,
        api_key=key,
        categories=categories_of(release) if release is not None else (),
        shoppers=shoppers_of(release) if release is not None else (),
    )
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/shop/items", dependencies=_CHECKED)
@threaded("heavy")
def items(
    services: WithServices,
    shop: WithShop,
    category: Annotated[str | None, Query(max_length=500)] = None,
    q: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 24,
    after: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """List the catalogue by id; `next_cursor` is the `after` of the next page."""
    query = ItemQuery(category=category, text=q, after=after, limit=limit + 1)
    found = services.items.page(shop.tenant, query)
    answer = ItemPage.of(found, limit=limit, cursor_after=str)
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/shop/items/{item_id:path}", dependencies=_CHECKED)
@threaded("reads")
def item(request: Request, services: WithServices, shop: WithShop, item_id: Annotated[str, PathValue()]) -> Response:
    """Show one item of the catalogue."""
    answer = ItemAnswer.of(services.items.get(shop.tenant, path_id(request, "item_id", item_id)))
    return Response(answer.model_dump_json(), media_type="application/json")


async def _release(services: Services, shop: DemoShop) -> LoadedRelease | None:
    """The live release; a shop without one still sells."""
    try:
        live = await services.releases.get(shop.tenant)
    except (NotReady, CorruptRelease):
        return None
    return live.ranker.release

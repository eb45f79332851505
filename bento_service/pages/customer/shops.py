"""Where one lands after a log-in: the person's shops."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bento_service.pages.logged_in import Customer
from bento_service.pages.page_route import PageRoute
from bento_service.pages.render import page

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/app")
async def shops(request: Request, session: Customer) -> Response:
    """List the shops of the person, with their role in each."""
    return page(request, "customer/shops.html", {"session": session})

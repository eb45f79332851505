"""Log-in and log-out of the customer application."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bento_service.dependencies import WithServices
from bento_service.pages.entry import logging_in
from bento_service.pages.entry.logging_in import Goal, NamedShop
from bento_service.pages.page_route import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/login")
async def show(request: Request, services: WithServices, goal: Goal = None, shop: NamedShop = None) -> Response:
    """Ask for e-mail and password."""
    return await logging_in.show_login(request, services, "customer", goal, shop=shop)


@router.post("/login")
async def log_in(request: Request, services: WithServices) -> Response:
    """Check them."""
    return await logging_in.take_login(request, services, "customer")


@router.get("/login/code")
async def show_code(request: Request, services: WithServices, goal: Goal = None) -> Response:
    """Ask for the second factor."""
    return await logging_in.show_code(request, services, "customer", goal)


@router.post("/login/code")
async def check_code(request: Request, services: WithServices) -> Response:
    """Check it."""
    return await logging_in.take_code(request, services, "customer")


@router.post("/logout")
async def log_out(request: Request, services: WithServices) -> Response:
    """End the session of this browser."""
    return await logging_in.take_logout(request, services, "customer")

"""Log-in and log-out of the back office. Its cookie is none in the customer application, and the other way round."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from bento_service.dependencies import WithServices
from bento_service.pages.entry import logging_in
from bento_service.pages.entry.logging_in import Goal
from bento_service.pages.logged_in import OfficeVisitor
from bento_service.pages.page_route import PageRoute
from bento_service.pages.render import page

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/office")
async def landing(request: Request, session: OfficeVisitor) -> Response:
    """Show who is logged in, and as what."""
    return page(request, "office/landing.html", {"session": session})


@router.get("/office/login")
async def show(request: Request, services: WithServices, goal: Goal = None) -> Response:
    """Ask for e-mail and password, or lead to SSO."""
    return await logging_in.show_login(request, services, "office", goal)


@router.post("/office/login")
async def log_in(request: Request, services: WithServices) -> Response:
    """Check them."""
    return await logging_in.take_login(request, services, "office")


@router.get("/office/login/code")
async def show_code(request: Request, services: WithServices, goal: Goal = None) -> Response:
    """Ask for the second factor."""
    return await logging_in.show_code(request, services, "office", goal)


@router.post("/office/login/code")
async def check_code(request: Request, services: WithServices) -> Response:
    """Check it."""
    return await logging_in.take_code(request, services, "office")


@router.post("/office/logout")
async def log_out(request: Request, services: WithServices) -> Response:
    """End the session of this browser."""
    return await logging_in.take_logout(request, services, "office")

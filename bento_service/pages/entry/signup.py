"""Signing up: from nothing to an own shop in one form."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import StringConstraints
from starlette.responses import Response

from bento_service.access.logging_in import with_password
from bento_service.dependencies import Services, WithServices
from bento_service.pages.entry.logging_in import let_in
from bento_service.pages.forms import Form, filled_in, read_fields
from bento_service.pages.logged_in import page_client
from bento_service.pages.page_route import PageRoute
from bento_service.pages.render import page
from bento_service.pages.security import check_address
from resources.base.errors import RecsaasError
from resources.base.tenant import TenantId
from resources.sessions.browser_sessions import beginning
from resources.sessions.login import Login
from resources.signup.signing_up import SignUp, sign_up
from resources.tenancy.provisioning import NewTenant

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
_Needed = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=320)]


class SignUpForm(Form):
    """Who signs up, and for which shop; `code` of whoever has an account with a second factor."""

    email: _Needed
    password: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    code: _Text = ""
    name: _Text = ""
    shop_name: _Needed
    shop_id: _Needed
    currency: _Text = ""
    timezone: _Text = ""


@router.get("/signup")
async def show(request: Request, services: WithServices) -> Response:
    """Ask who signs up."""
    check_address(request)
    return _page(request, services, {}, None)


@router.post("/signup")
async def take(request: Request, services: WithServices) -> Response:
    """Make the shop and its owner, who is logged in then."""
    check_address(request)
    fields = await read_fields(request)
    client, now = page_client(request), services.clock()
    begin = beginning("customer", client, kept=False, office_policy=services.settings.office_second_factor, now=now)
    try:
        form = filled_in(fields, SignUpForm)
        wanted = SignUp(
            login=Login(form.email, form.password, client, code=form.code or None),
            name=form.name,
            shop=NewTenant(
                id=TenantId(form.shop_id),
                name=form.shop_name,
                currency=form.currency or None,
                timezone=form.timezone or None,
            ),
        )
        token = await with_password(
            services.threads.passwords,
            client.address,
            sign_up,
            services.db,
            services.lake,
            wanted,
            begin,
            settings=services.settings,
            now=now,
        )
    except RecsaasError as error:
        return _page(request, services, fields, error)
    return await let_in(request, services, "customer", token, kept=False)


def _page(request: Request, services: Services, fields: dict[str, str], error: RecsaasError | None) -> Response:
    values = {"open": services.settings.signup_mode == "open", "mail": bool(services.settings.smtp_url)}
    return page(request, "entry/signup.html", values, error=error, fields=fields)

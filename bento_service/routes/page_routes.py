"""The routes of the pages, by their modules."""

from __future__ import annotations

from fastapi import APIRouter

from bento_service.pages import static_files
from bento_service.pages.account import profile
from bento_service.pages.account import second_factor as second_factor_pages
from bento_service.pages.customer import shops
from bento_service.pages.entry import invites as invite_pages
from bento_service.pages.entry import links as link_pages
from bento_service.pages.entry import login as login_pages
from bento_service.pages.entry import signup, sso
from bento_service.pages.office import login as office_login

PAGES: tuple[APIRouter, ...] = (
    static_files.router,
    login_pages.router,
    sso.router,
    signup.router,
    link_pages.router,
    invite_pages.router,
    profile.router,
    second_factor_pages.router,
    shops.router,
    office_login.router,
)

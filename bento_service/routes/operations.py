"""The routes of the JSON API, by their modules; `/docs` and the demo shop stand with them."""

from __future__ import annotations

from fastapi import APIRouter

from bento_service.api.accounts import login, me
from bento_service.api.admin import acting, api_keys, audit, plans, rules, training, usage, webhooks
from bento_service.api.data import data_docs, data_quality, interactions, items, mappings, uploads, users
from bento_service.api.people import accounts, invites, links, members, office, second_factor
from bento_service.api.recommending import batch, receipts, recommendation_exports, recommendations, why_not
from bento_service.api.site import docs, health, shop, widget
from bento_service.api.tenancy import exports as tenant_exports
from bento_service.api.tenancy import stopping, tenants

OPERATIONS: tuple[APIRouter, ...] = (
    login.router,
    me.router,
    links.router,
    invites.router,
    members.router,
    second_factor.router,
    accounts.router,
    office.router,
    recommendations.router,
    batch.router,
    why_not.router,
    receipts.router,
    recommendation_exports.router,
    interactions.router,
    items.router,
    uploads.router,
    mappings.router,
    rules.router,
    training.router,
    users.router,
    api_keys.router,
    tenants.router,
    stopping.router,
    tenant_exports.router,
    plans.router,
    usage.router,
    webhooks.router,
    audit.router,
    acting.router,
    data_quality.router,
    health.router,
    docs.router,
    data_docs.router,
    widget.router,
    shop.router,
)

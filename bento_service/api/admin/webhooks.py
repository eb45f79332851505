"""The tenant's webhooks: endpoints that are told what happens, and what became of every message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bento_service.api.auth import Principal, require
from bento_service.dependencies import WithServices
from bento_service.http.json_body import json_body, read_body
from bento_service.http.pagination import PageLimit, Pages, cursor_parameter
from bento_service.scheduling.threads import threaded
from bento_service.schemas.admin.webhooks import (
    DeliveryAnswer,
    DeliveryPage,
    WebhookAnswer,
    WebhookBody,
    WebhookList,
    WebhookPatch,
    WebhookRemoved,
    WebhookWithSecret,
)
from bento_service.schemas.common import Answer
from resources.webhooks.endpoints.deliveries import add_test, list_deliveries, try_again
from resources.webhooks.endpoints.store import (
    add_webhook,
    change_webhook,
    get_webhook,
    list_webhooks,
    remove_webhook,
    rotate_secret,
)

router = APIRouter(tags=["webhooks"])
WebhookWriter = Annotated[Principal, Depends(require("webhooks:write"))]
_PAGES: Pages[tuple[datetime, str]] = Pages(
    "w",
    write=lambda key: f"{key[0].isoformat()} {key[1]}",
    read=lambda text: (datetime.fromisoformat(text.partition(" ")[0]).astimezone(UTC), text.partition(" ")[2]),
)
DeliveryCursor = Annotated[str | None, cursor_parameter(200)]
_EXAMPLES = {
    "releases": {"url": "https://shop.example.com/hooks/recsaas", "events": ["release.live", "release.held"]},
    "everything": {"url": "https://shop.example.com/hooks/recsaas"},
}


@router.get("/api/v1/webhooks", response_model=WebhookList, summary="List webhooks")
@threaded("reads")
def webhooks(principal: WebhookWriter, services: WithServices) -> Response:
    """List the tenant's endpoints, oldest first. Secrets are not shown."""
    found = list_webhooks(services.db, principal.tenant)
    return _answer(WebhookList(webhooks=tuple(WebhookAnswer.of(each) for each in found)))


@router.post(
    "/api/v1/webhooks",
    response_model=WebhookWithSecret,
    status_code=201,
    summary="Add a webhook",
    openapi_extra=json_body(WebhookBody, _EXAMPLES),
)
async def add(request: Request, principal: WebhookWriter, services: WithServices) -> Response:
    """Add an endpoint. The secret that its messages are signed with is in this answer and nowhere else."""
    body = await read_body(request, WebhookBody, services.bodies)
    principal.check_tenant(body.tenant_id)
    webhook, secret = await services.threads.writes.run(
        principal.tenant.value,
        add_webhook,
        services.db,
        principal.tenant,
        body.draft(),
        by=principal.actor(request),
        now=services.clock(),
        plain_http=services.settings.webhook_private,
    )
    return _answer(WebhookWithSecret(**WebhookAnswer.of(webhook).model_dump(), secret=secret), 201)


@router.get("/api/v1/webhooks/{webhook_id}", response_model=WebhookAnswer, summary="Show a webhook")
@threaded("reads")
def webhook(principal: WebhookWriter, services: WithServices, webhook_id: str) -> Response:
    """Show an endpoint."""
    return _answer(WebhookAnswer.of(get_webhook(services.db, principal.tenant, webhook_id)))


@router.patch(
    "/api/v1/webhooks/{webhook_id}",
    response_model=WebhookAnswer,
    summary="Change a webhook",
    openapi_extra=json_body(WebhookPatch, {"switch it off": {"enabled": False}}),
)
async def change(request: Request, principal: WebhookWriter, services: WithServices, webhook_id: str) -> Response:
    """Change where an endpoint is, what it hears, or whether it hears anything."""
    body = await read_body(request, WebhookPatch, services.bodies)
    principal.check_tenant(body.tenant_id)
    changed = await services.threads.writes.run(
        principal.tenant.value,
        change_webhook,
        services.db,
        principal.tenant,
        webhook_id,
        body.draft(),
        by=principal.actor(request),
        now=services.clock(),
        plain_http=services.settings.webhook_private,
    )
    return _answer(WebhookAnswer.of(changed))


@router.delete("/api/v1/webhooks/{webhook_id}", response_model=WebhookRemoved, summary="Remove a webhook")
@threaded("writes")
def remove(request: Request, principal: WebhookWriter, services: WithServices, webhook_id: str) -> Response:
    """Remove an endpoint, with the list of its deliveries."""
    by, now = principal.actor(request), services.clock()
    remove_webhook(services.db, principal.tenant, webhook_id, by=by, now=now)
    return _answer(WebhookRemoved(id=webhook_id))


@router.post(
    "/api/v1/webhooks/{webhook_id}/rotate-secret",
    response_model=WebhookWithSecret,
    summary="Make a new secret of a webhook",
)
@threaded("writes")
def rotate(request: Request, principal: WebhookWriter, services: WithServices, webhook_id: str) -> Response:
    """Make a new secret. For 24 hours the one before signs as well, so that no message is refused meanwhile."""
    by, now = principal.actor(request), services.clock()
    changed, secret = rotate_secret(services.db, principal.tenant, webhook_id, by=by, now=now)
    return _answer(WebhookWithSecret(**WebhookAnswer.of(changed).model_dump(), secret=secret))


@router.post(
    "/api/v1/webhooks/{webhook_id}/test", response_model=DeliveryAnswer, status_code=202, summary="Try a webhook"
)
@threaded("writes")
def test(principal: WebhookWriter, services: WithServices, webhook_id: str) -> Response:
    """Send `webhook.test` to this endpoint alone, whatever it wants to hear. Its deliveries say what came of it."""
    queued = add_test(services.db, principal.tenant, webhook_id, now=services.clock())
    services.webhooks.wake()
    return _answer(DeliveryAnswer.of(queued), 202)


@router.get(
    "/api/v1/webhooks/{webhook_id}/deliveries", response_model=DeliveryPage, summary="List deliveries to a webhook"
)
@threaded("reads")
def deliveries(
    principal: WebhookWriter,
    services: WithServices,
    webhook_id: str,
    limit: PageLimit = 50,
    cursor: DeliveryCursor = None,
) -> Response:
    """List what was sent to an endpoint, or waits, newest first. Deliveries are kept for 30 days."""
    before = _PAGES.place(cursor)
    found = list_deliveries(services.db, principal.tenant, webhook_id, limit=limit + 1, before=before)
    shown, next_cursor = _PAGES.cut(found, limit=limit, key=lambda each: (each.created_at, each.id))
    return _answer(DeliveryPage(deliveries=tuple(DeliveryAnswer.of(each) for each in shown), next_cursor=next_cursor))


@router.post(
    "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry",
    response_model=DeliveryAnswer,
    status_code=202,
    summary="Send a delivery again",
)
@threaded("writes")
def retry(principal: WebhookWriter, services: WithServices, webhook_id: str, delivery_id: str) -> Response:
    """Try a delivery at once that has failed, or rests. A receiver knows a repeated message by its `webhook-id`."""
    again = try_again(services.db, principal.tenant, webhook_id, delivery_id, now=services.clock())
    services.webhooks.wake()
    return _answer(DeliveryAnswer.of(again), 202)


def _answer(answer: Answer, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json", headers=headers)

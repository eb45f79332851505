"""Bodies of the webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from bento_service.schemas.common import Answer, Body, PlainText, Text
from resources.webhooks.endpoints.deliveries import Delivery
from resources.webhooks.endpoints.endpoint import Webhook, WebhookDraft
from resources.webhooks.event_types import EventType

_Url = Annotated[PlainText, Field(min_length=1, max_length=2000)]
_Description = Annotated[PlainText, Field(max_length=200)]
_Events = Annotated[tuple[EventType, ...], Field(max_length=50)]


class WebhookPatch(Body):
    """What of an endpoint is to be another; what is left out stays."""

    url: _Url | None = Field(default=None, description="Where deliveries are posted to; https.")
    description: _Description | None = None
    events: _Events | None = Field(default=None, description="What it wants to hear; empty: everything.")
    enabled: bool | None = Field(default=None, description="Whether anything is sent to it.")
    tenant_id: Text | None = Field(default=None, description="When given, it must be the credential's tenant.")

    def draft(self) -> WebhookDraft:
        """What was sent."""
        return WebhookDraft(url=self.url, description=self.description, events=self.events, enabled=self.enabled)


class WebhookBody(WebhookPatch):
    """An endpoint to add."""

    url: _Url


class WebhookAnswer(Answer):
    """An endpoint; `stopped_because` says why it was switched off by itself."""

    id: str
    url: str
    description: str
    events: tuple[str, ...]
    enabled: bool
    stopped_because: str | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookAnswer:
        """Show an endpoint."""
        return cls(**{name: getattr(webhook, name) for name in cls.model_fields})


class WebhookWithSecret(WebhookAnswer):
    """An endpoint with its new secret, which is shown only now."""

    secret: str


class WebhookList(Answer):
    """The tenant's endpoints, oldest first; there are at most 20."""

    webhooks: tuple[WebhookAnswer, ...]


class WebhookRemoved(Answer):
    """Nothing is sent to the endpoint any more."""

    id: str
    status: Literal["removed"] = "removed"


class DeliveryAnswer(Answer):
    """One announcement on its way to one endpoint, and what came of its newest try.

    `event_id` is the `webhook-id` of the message.
    """

    id: str
    event_id: str
    type: str
    status: str
    attempts: int
    answer_status: int | None
    error: str | None
    milliseconds: int | None
    created_at: datetime
    next_try_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryAnswer:
        """Show a delivery."""
        return cls(**{name: getattr(delivery, name) for name in cls.model_fields})


class DeliveryPage(Answer):
    """Deliveries to one endpoint, newest first."""

    deliveries: tuple[DeliveryAnswer, ...]
    next_cursor: str | None = None

"""Handing statements to the billing system of whoever runs the platform."""

from __future__ import annotations

import base64
import binascii
import json

import httpx
import structlog

from resources.base.errors import ConfigurationError
from resources.base.settings import Settings
from resources.base.times import Clock
from resources.billing.statements import Statement
from resources.webhooks.signing import signed_headers

_SECONDS = 10.0
_LEAST_SECRET = 32
_log = structlog.get_logger("recsaas.usage")


class BillingHook:
    """Posts statements, signed as webhooks are. The id of a message is that of its statement: a receiver that gets it
    again knows it by that."""

    def __init__(self, url: str, secret: str, clock: Clock) -> None:
        """Raise ConfigurationError unless the secret is one."""
        try:
            strong = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) >= _LEAST_SECRET
        except binascii.Error:
            strong = False
        if not strong or not secret.startswith("whsec_"):
            raise ConfigurationError(
                "RECSAAS_BILLING_WEBHOOK_SECRET has to be whsec_ and 32 random bytes or more in base64: "
                "set it, or take RECSAAS_BILLING_WEBHOOK_URL away."
            )
        self._url = url
        self._secret = secret
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> BillingHook | None:
        """Return the hook that the settings name, None without one.

        Raises:
            ConfigurationError: there is an address and no secret.
        """
        if not settings.billing_webhook_url:
            return None
        return cls(settings.billing_webhook_url, settings.billing_webhook_secret, clock)

    def tell(self, statement: Statement) -> bool:
        """Post a statement; True when it was taken, which a status of 200 to 299 says."""
        message = {
            "type": "usage.statement",
            "timestamp": statement.content["made_at"],
            "tenant_id": statement.tenant.value,
            "data": {**statement.content, "sha256": statement.hash},
        }
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        name = f"stm-{statement.tenant}-{statement.month}"
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "recsaas-billing/1",
            **signed_headers(name, body, [self._secret], now=self._clock()),
        }
        try:
            answer = httpx.post(self._url, content=body, headers=headers, timeout=_SECONDS, trust_env=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _log.warning("statement_not_told", statement=name, kind=type(error).__name__)
            return False
        if not answer.is_success:
            _log.warning("statement_not_told", statement=name, status=answer.status_code)
        return answer.is_success
